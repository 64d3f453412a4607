//! Which column of a table means what.
//!
//! Owns the plain form of names, the delimiter, which is found by the same knowledge (the right one is
//! the one that makes a known header), and what a person says about columns that nobody knows.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use crate::aliases::{
    BARCODE, BRAND, CATEGORY, DESCRIPTION, HANDLE, ID, IMAGE, TITLE, WOO_ID, WOO_PARENT, WOO_TYPE,
};
use crate::format::Format;
use crate::records::{DELIMITERS, Splitter};
use crate::text::Line;

/// What a column can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The shop's own id of the product.
    Id,
    /// The barcode.
    Barcode,
    /// The name of the product.
    Title,
    /// The brand.
    Brand,
    /// Where images are.
    Image,
    /// A text about it.
    Description,
    /// Where in the shop it stands.
    Category,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Id,
        Self::Barcode,
        Self::Title,
        Self::Brand,
        Self::Image,
        Self::Description,
        Self::Category,
    ];

    /// Its name, which `--map` takes and templates use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "sku",
            Self::Barcode => "barcode",
            Self::Title => "title",
            Self::Brand => "brand",
            Self::Image => "image",
            Self::Description => "description",
            Self::Category => "category",
        }
    }

    fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Id => ID,
            Self::Barcode => BARCODE,
            Self::Title => TITLE,
            Self::Brand => BRAND,
            Self::Image => IMAGE,
            Self::Description => DESCRIPTION,
            Self::Category => CATEGORY,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no [`Field`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no field: write one of sku, barcode, title, brand, image, description, category")]
pub struct UnknownField(String);

impl FromStr for Field {
    type Err = UnknownField;

    /// Any name under which columns of this field are known.
    fn from_str(word: &str) -> Result<Self, UnknownField> {
        let word = plain(word);
        let exact = Self::ALL.into_iter().find(|field| field.as_str() == word);
        let known = |field: &Self| field.aliases().contains(&word.as_str());
        exact
            .or_else(|| Self::ALL.into_iter().find(known))
            .ok_or(UnknownField(word))
    }
}

/// What a person says: this column means that. It goes before what the names say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(pub Vec<(String, Field)>);

/// Where in a row the things stand that a catalog is read for. Of several columns of one field the first
/// that is not blank counts, and of images all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) id: Vec<usize>,
    pub(crate) barcode: Vec<usize>,
    pub(crate) title: Vec<usize>,
    pub(crate) brand: Vec<usize>,
    pub(crate) images: Vec<usize>,
    pub(crate) description: Vec<usize>,
    pub(crate) category: Vec<usize>,
    /// Rows with the same text here are one product.
    pub(crate) group: Option<usize>,
    /// WooCommerce: the kind of row, the product that a variation belongs to, and its number.
    pub(crate) woo: Option<[usize; 3]>,
}

impl Columns {
    /// The meaning of a header. Of several names for one field the surest counts; the same name may
    /// stand in several columns (one for each language).
    pub(crate) fn of(header: &[String], format: Format) -> Self {
        let names: Vec<String> = header.iter().map(|name| plain(name)).collect();
        let all = |alias: &str| -> Vec<usize> {
            let places = names.iter().enumerate();
            let places = places.filter(|(_, name)| name.as_str() == alias);
            places.map(|(column, _)| column).collect()
        };
        let surest = |aliases: &[&str]| -> Vec<usize> {
            let found = aliases.iter().map(|alias| all(alias));
            found
                .into_iter()
                .find(|found| !found.is_empty())
                .unwrap_or_default()
        };
        let first = |aliases: &[&str]| surest(aliases).first().copied();
        let mut columns = Self {
            id: surest(ID),
            barcode: surest(BARCODE),
            title: surest(TITLE),
            brand: surest(BRAND),
            images: IMAGE.iter().flat_map(|alias| all(alias)).collect(),
            description: surest(DESCRIPTION),
            category: surest(CATEGORY),
            group: None,
            woo: None,
        };
        match format {
            Format::Shopify | Format::ShopifyNew => {
                columns.group = first(HANDLE);
                columns.id = columns.group.into_iter().collect();
            }
            Format::Magento => columns.group = first(&["sku"]),
            Format::WooCommerce => {
                let own = [first(WOO_TYPE), first(WOO_PARENT), first(WOO_ID)];
                if let [Some(kind), Some(parent), Some(id)] = own {
                    columns.woo = Some([kind, parent, id]);
                }
            }
            Format::Google => columns.id = surest(&["id"]),
            // Akeneo's `code` names a model, and no barcode.
            Format::Akeneo if columns.barcode == all("code") => columns.barcode.clear(),
            // A shop has no number of its own there.
            Format::OpenFoodFacts => columns.id.clone_from(&columns.barcode),
            Format::Akeneo | Format::Table | Format::JsonLines => {}
        }
        columns
    }

    /// As a person says. None: the header has no such column.
    pub(crate) fn say(&mut self, header: &[String], column: &str, field: Field) -> Option<()> {
        let wanted = column.trim();
        let exact = header.iter().position(|name| name.trim() == wanted);
        let place = exact.or_else(|| {
            let wanted = plain(wanted);
            header.iter().position(|name| plain(name) == wanted)
        })?;
        match field {
            // Several may be said.
            Field::Image => {
                self.images.retain(|known| *known != place);
                self.images.insert(0, place);
            }
            other => *self.of_field(other) = vec![place],
        }
        Some(())
    }

    fn of_field(&mut self, field: Field) -> &mut Vec<usize> {
        match field {
            Field::Id => &mut self.id,
            Field::Barcode => &mut self.barcode,
            Field::Title => &mut self.title,
            Field::Brand => &mut self.brand,
            Field::Image => &mut self.images,
            Field::Description => &mut self.description,
            Field::Category => &mut self.category,
        }
    }

    /// The columns of a field.
    pub(crate) fn places(&self, field: Field) -> &[usize] {
        match field {
            Field::Id => &self.id,
            Field::Barcode => &self.barcode,
            Field::Title => &self.title,
            Field::Brand => &self.brand,
            Field::Image => &self.images,
            Field::Description => &self.description,
            Field::Category => &self.category,
        }
    }

    /// Whether products can be told by this header: by their barcode or by their name.
    pub(crate) fn name_products(&self) -> bool {
        !self.barcode.is_empty() || !self.title.is_empty()
    }

    /// How many fields were found.
    fn found(&self) -> usize {
        let fields = Field::ALL.into_iter();
        fields
            .filter(|field| !self.places(*field).is_empty())
            .count()
    }
}

/// The names that are understood, for the message to somebody whose header names none of them.
pub(crate) fn accepted() -> String {
    format!(
        "barcode: {}; name: {}",
        BARCODE.join(", "),
        TITLE.join(", ")
    )
}

/// The delimiter of a table that begins with these lines: the one whose header means most, then the
/// one whose rows have as many cells as the header most often, then the one with the most cells.
pub(crate) fn delimiter(lines: &VecDeque<Line>) -> char {
    let score = |delimiter: char| {
        let rows = rows(lines, delimiter);
        let width = rows.first().map_or(0, Vec::len);
        let even = rows.iter().filter(|row| row.len() == width).count();
        let evenness = even * 100 / rows.len().max(1);
        let found = |header: &Vec<String>| Columns::of(header, Format::Table).found();
        (rows.first().map_or(0, found), evenness, width)
    };
    // The last of equals wins in `max_by_key`, so the list is read from its end.
    DELIMITERS
        .into_iter()
        .rev()
        .max_by_key(|delimiter| score(*delimiter))
        .unwrap_or(',')
}

fn rows(lines: &VecDeque<Line>, delimiter: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut open: Option<Splitter> = None;
    for line in lines.iter().filter(|line| !line.text.trim().is_empty()) {
        let mut splitter = match open.take() {
            Some(mut splitter) => {
                splitter.feed("\n");
                splitter
            }
            None => Splitter::new(delimiter),
        };
        splitter.feed(&line.text);
        if splitter.is_open() {
            open = Some(splitter);
        } else {
            rows.push(splitter.finish());
        }
    }
    rows
}

/// A header's name without what people vary: case, blanks, underscores, hyphens and accents, the
/// `g:` of Google's names, and the locale of Akeneo's (`name-de_DE`).
pub(crate) fn plain(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let lower = lower.strip_prefix("g:").unwrap_or(&lower);
    let base = match lower.split_once('-') {
        Some((base, locale)) if is_locale(locale) => base,
        Some(_) | None => lower,
    };
    base.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(without_accent)
        .collect()
}

/// `de_de`, `de_de-print`.
pub(crate) fn is_locale(text: &str) -> bool {
    let locale = text.split('-').next().unwrap_or_default();
    matches!(locale.split_once('_'), Some((language, country))
        if language.len() == 2 && country.len() == 2)
}

fn without_accent(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ą' => ('a', None),
        'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => ('e', None),
        'ì' | 'í' | 'î' | 'ï' => ('i', None),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => ('o', None),
        'ù' | 'ú' | 'û' | 'ü' | 'ů' => ('u', None),
        'ç' | 'ć' | 'č' => ('c', None),
        'ñ' | 'ń' => ('n', None),
        'ł' => ('l', None),
        'ś' | 'š' => ('s', None),
        'ź' | 'ż' | 'ž' => ('z', None),
        'ß' => ('s', Some('s')),
        'æ' => ('a', Some('e')),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Columns {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Columns::of(&names, Format::Table)
    }

    #[track_caller]
    fn delimiter_is(text: &str, expect: char) {
        let line = |text: &str| Line {
            number: 1,
            text: text.to_owned(),
            is_cut: false,
        };
        let lines: VecDeque<Line> = text.lines().map(line).collect();
        assert_eq!(delimiter(&lines), expect, "{text}");
    }

    #[test]
    fn headers_of_many_languages_mean_the_same() {
        for names in [
            ["SKU", "EAN", "Product Name", "Brand", "Image URL"],
            [" sku ", "  Variant Barcode", "TITLE", "Vendor", "Image Src"],
            ["Artikelnummer", "EAN-Code", "Bezeichnung", "Marke", "Bild"],
            [
                "Référence",
                "Code-barres",
                "Désignation",
                "Marque",
                "url_image",
            ],
            [
                "Codice articolo",
                "Codice EAN",
                "Nome prodotto",
                "Marca",
                "Immagine",
            ],
            [
                "Referencia",
                "Código de barras",
                "Nombre",
                "Marca",
                "Imágenes",
            ],
            ["Artikelcode", "Streepjescode", "Naam", "Merk", "Afbeelding"],
            ["SKU", "Kod kreskowy", "Nazwa", "Marka", "Zdjęcie"],
            ["Артикул", "Штрихкод", "Название", "Бренд", "Изображение"],
            ["g:id", "g:gtin", "g:title", "g:brand", "g:image_link"],
            ["id", "gtin", "name-de_DE", "manufacturer", "picture"],
        ] {
            let columns = header(&names);
            let expect = Columns {
                id: vec![0],
                barcode: vec![1],
                title: vec![2],
                brand: vec![3],
                images: vec![4],
                ..Columns::default()
            };
            assert_eq!(columns, expect, "{names:?}");
        }
    }

    #[test]
    fn the_surest_name_wins_wherever_it_stands() {
        let columns = header(&["code", "ID", "title", "ean", "product_name", "sku", "EAN"]);
        assert_eq!(
            (columns.barcode, columns.title, columns.id),
            (vec![3, 6], vec![4], vec![5])
        );
        assert!(!header(&["price", "qty", "sku"]).name_products());
        assert!(!header(&[]).name_products());
    }

    #[test]
    fn what_a_person_says_goes_before_the_names() {
        let names: Vec<String> = ["ean", "Unser Code", "Foto 2", "foto"]
            .map(str::to_owned)
            .into();
        let mut columns = Columns::of(&names, Format::Table);
        columns.say(&names, " unser code", Field::Barcode).unwrap();
        columns.say(&names, "Foto 2", Field::Image).unwrap();
        assert_eq!(
            (columns.barcode.as_slice(), columns.images.as_slice()),
            (&[1][..], &[2, 3][..])
        );
        assert!(columns.say(&names, "nothing", Field::Title).is_none());
        assert_eq!("GTIN".parse(), Ok(Field::Barcode));
        assert_eq!("name".parse(), Ok(Field::Title));
        assert!(
            "colour"
                .parse::<Field>()
                .unwrap_err()
                .to_string()
                .contains("write one of sku")
        );
    }

    #[test]
    fn no_alias_is_dead_or_means_two_things() {
        let all: Vec<&str> = [BARCODE, TITLE, BRAND, IMAGE, ID, DESCRIPTION, CATEGORY].concat();
        for (place, alias) in all.iter().enumerate() {
            assert_eq!(*alias, plain(alias));
            assert!(!all[..place].contains(alias), "{alias} twice");
        }
    }

    #[test]
    fn the_delimiter_is_the_one_that_makes_a_known_header() {
        delimiter_is("ean\tname\n1\tLamp, oak; large\n", '\t');
        delimiter_is("ean,name\n1,\"a;b;c;d\"\n2,\"x\ty\tz\"\n", ',');
        delimiter_is("ean;name;price\n1;Lamp;1,50\n2;Table;2,50\n", ';');
        delimiter_is("ean|name\n1|a,b\n", '|');
        delimiter_is("\"ean, or gtin\";name\n1;2\n", ';');
        delimiter_is("foo;bar\n1,5;2\n", ';');
    }

    #[test]
    fn a_table_of_one_column_is_not_divided() {
        delimiter_is("product_name\nLamp, oak\nTable; large\n", '\t');
    }
}
