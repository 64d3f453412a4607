//! Which column of a table means what: names that shops, marketplaces and spreadsheets give them.
//!
//! Owns the alias tables and the delimiter, which is found by the same knowledge: the right one is
//! the one that makes a known header.

use std::collections::VecDeque;

use super::records::{DELIMITERS, Splitter};
use super::text::Line;

/// Names of the barcode column in [plain](plain) form, the surest first.
const BARCODE: &[&str] = &[
    "ean",
    "ean13",
    "gtin",
    "gtin13",
    "gtin14",
    "ean8",
    "eancode",
    "codeean",
    "codiceean",
    "codigoean",
    "eannummer",
    "eannumber",
    "gtinean",
    "eangtin",
    "eanupc",
    "upcean",
    "upc",
    "upca",
    "upccode",
    "gtinupceanorisbn",
    "barcode",
    "variantbarcode",
    "productbarcode",
    "strichcode",
    "codebarre",
    "codebarres",
    "codicebarre",
    "codiceabarre",
    "codigodebarras",
    "codigobarras",
    "isbn",
    "code",
];

/// Names of the name column.
const NAME: &[&str] = &[
    "productname",
    "producttitle",
    "title",
    "name",
    "itemname",
    "itemtitle",
    "produktname",
    "artikelname",
    "artikelbezeichnung",
    "produktbezeichnung",
    "produkttitel",
    "bezeichnung",
    "nomproduit",
    "nomduproduit",
    "nom",
    "designation",
    "libelle",
    "titre",
    "nomeprodotto",
    "nomedelprodotto",
    "nome",
    "denominazione",
    "titolo",
    "nombreproducto",
    "nombredelproducto",
    "nombre",
    "denominacion",
    "titulo",
    "product",
    "produkt",
    "produit",
    "prodotto",
    "producto",
];

/// Names of the brand column.
const BRAND: &[&str] = &[
    "brand",
    "brands",
    "brandname",
    "productbrand",
    "marke",
    "markenname",
    "marque",
    "marca",
    "manufacturer",
    "hersteller",
    "fabricant",
    "fabbricante",
    "produttore",
    "fabricante",
    "vendor",
];

/// Names of image columns. All that are there count, in this order.
const IMAGE: &[&str] = &[
    "imageurl",
    "imagelink",
    "imagesrc",
    "image",
    "images",
    "imageurls",
    "mainimage",
    "mainimageurl",
    "baseimage",
    "picture",
    "pictures",
    "pictureurl",
    "photo",
    "photourl",
    "bild",
    "bilder",
    "bildurl",
    "bildlink",
    "urlimage",
    "lienimage",
    "imageproduit",
    "immagine",
    "immagini",
    "urlimmagine",
    "imagen",
    "imagenes",
    "urlimagen",
    "foto",
    "fotos",
    "variantimage",
    "additionalimagelink",
    "additionalimages",
];

/// Names of the column with the shop's own id of a product.
const SKU: &[&str] = &[
    "sku",
    "variantsku",
    "productsku",
    "articlenumber",
    "itemnumber",
    "itemno",
    "partnumber",
    "artikelnummer",
    "artikelnr",
    "artnr",
    "bestellnummer",
    "referenceproduit",
    "reference",
    "codicearticolo",
    "codiceprodotto",
    "codigoarticulo",
    "referencia",
    "productcode",
    "clientproductid",
    "productid",
    "itemid",
    "id",
    "handle",
];

/// Where in a row the things stand that a catalog is read for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) barcode: Option<usize>,
    pub(super) name: Option<usize>,
    pub(super) brand: Option<usize>,
    pub(super) sku: Option<usize>,
    pub(super) images: Vec<usize>,
}

impl Columns {
    /// The meaning of a header. Of several columns for one thing the surest counts, then the
    /// leftmost; images may stand in several.
    pub(super) fn of(header: &[String]) -> Self {
        let names: Vec<String> = header.iter().map(|name| plain(name)).collect();
        let positions = |alias: &&str| {
            let alias = (*alias).to_owned();
            names
                .iter()
                .enumerate()
                .filter(move |(_, n)| **n == alias)
                .map(|(column, _)| column)
        };
        let first = |aliases: &[&str]| aliases.iter().flat_map(&positions).next();
        Self {
            barcode: first(BARCODE),
            name: first(NAME),
            brand: first(BRAND),
            sku: first(SKU),
            images: IMAGE.iter().flat_map(positions).collect(),
        }
    }

    /// Whether products can be told by this header: by their barcode or by their name.
    pub(super) fn name_products(&self) -> bool {
        self.barcode.is_some() || self.name.is_some()
    }

    /// How many things were found.
    fn found(&self) -> usize {
        [self.barcode, self.name, self.brand, self.sku]
            .iter()
            .flatten()
            .count()
            + usize::from(!self.images.is_empty())
    }
}

/// The names that are understood, for the message to somebody whose header names none of them.
pub(super) fn accepted() -> String {
    format!("barcode: {}; name: {}", BARCODE.join(", "), NAME.join(", "))
}

/// The delimiter of a table that begins with these lines: the one whose header means most, then the
/// one whose rows have as many cells as the header most often, then the one with the most cells.
pub(super) fn delimiter(lines: &VecDeque<Line>) -> char {
    let score = |delimiter: char| {
        let rows = rows(lines, delimiter);
        let width = rows.first().map_or(0, Vec::len);
        let even = rows.iter().filter(|row| row.len() == width).count();
        let evenness = even * 100 / rows.len().max(1);
        (
            rows.first().map_or(0, |header| Columns::of(header).found()),
            evenness,
            width,
        )
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
fn plain(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let lower = lower.strip_prefix("g:").unwrap_or(&lower);
    let base = match lower.split_once('-') {
        Some((base, locale)) if is_locale(locale) => base,
        Some(_) | None => lower,
    };
    base.chars()
        .map(without_accent)
        .filter(char::is_ascii_alphanumeric)
        .collect()
}

/// `de_de`, `de_de-print`.
fn is_locale(text: &str) -> bool {
    let locale = text.split('-').next().unwrap_or_default();
    matches!(locale.split_once('_'), Some((language, country))
        if language.len() == 2 && country.len() == 2)
}

fn without_accent(c: char) -> char {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Columns {
        Columns::of(
            &names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[track_caller]
    fn delimiter_is(text: &str, expect: char) {
        let lines: VecDeque<Line> = text
            .lines()
            .map(|text| Line {
                number: 1,
                text: text.to_owned(),
                is_cut: false,
            })
            .collect();
        assert_eq!(delimiter(&lines), expect, "{text}");
    }

    #[test]
    fn headers_of_five_languages_mean_the_same() {
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
            ["g:id", "g:gtin", "g:title", "g:brand", "g:image_link"],
            ["id", "gtin", "name-de_DE", "manufacturer", "picture"],
        ] {
            let columns = header(&names);
            let expect = Columns {
                sku: Some(0),
                barcode: Some(1),
                name: Some(2),
                brand: Some(3),
                images: vec![4],
            };
            assert_eq!(columns, expect, "{names:?}");
        }
    }

    #[test]
    fn the_surest_name_wins_wherever_it_stands() {
        let columns = header(&["code", "ID", "title", "ean", "product_name", "sku", "EAN"]);
        assert_eq!(
            (columns.barcode, columns.name, columns.sku),
            (Some(3), Some(4), Some(5))
        );
        assert!(!header(&["price", "qty", "sku"]).name_products());
        assert!(!header(&[]).name_products());
    }

    #[test]
    fn no_alias_is_dead_or_means_two_things() {
        let all: Vec<&str> = [BARCODE, NAME, BRAND, IMAGE, SKU].concat();
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
