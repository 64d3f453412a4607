//! Tables that shops import: Shopify, WooCommerce, Akeneo.
//!
//! Sources: Shopify's help ("When you update products using a CSV file, the only required columns are Handle
//! and Title"), WooCommerce's product CSV import schema ("ID", "SKU", "Description", "Images"), Akeneo's
//! import of products as CSV with `;` and the identifier attribute's code.

use std::io::{self, Write};

use super::{Item, Written, html};
use crate::catalog::Catalog;
use crate::columns::{Field, plain};
use crate::format::Format;

/// Which shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shop {
    /// Shopify.
    Shopify,
    /// WooCommerce.
    WooCommerce,
    /// Akeneo PIM.
    Akeneo,
}

/// Which of the things that were made a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Texts.
    Texts,
    /// Images.
    Images,
}

/// The names of the columns, as the shop has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    shop: Shop,
    id: String,
    title: String,
    text: String,
    image: String,
}

impl Layout {
    /// The names that the shop's documents give.
    #[must_use]
    pub fn documented(shop: Shop) -> Self {
        let [id, title, text, image] = match shop {
            Shop::Shopify => ["Handle", "Title", "Body (HTML)", "Image Src"],
            Shop::WooCommerce => ["SKU", "Name", "Description", "Images"],
            Shop::Akeneo => ["sku", "name", "description", "picture"],
        };
        Self {
            shop,
            id: id.to_owned(),
            title: title.to_owned(),
            text: text.to_owned(),
            image: image.to_owned(),
        }
    }

    /// The names that the shop's own file has, and the documented ones where it has none.
    #[must_use]
    pub fn of(shop: Shop, catalog: &Catalog) -> Self {
        let mut own = Self::documented(shop);
        let fits = match shop {
            Shop::Shopify => matches!(catalog.format(), Format::Shopify | Format::ShopifyNew),
            Shop::WooCommerce => catalog.format() == Format::WooCommerce,
            Shop::Akeneo => true,
        };
        if !fits {
            return own;
        }
        let first = |field, into: &mut String| {
            // The long text, and not the short one beside it.
            let mut names = catalog.columns_of(field).into_iter();
            if let Some(name) = names.find(|name| !plain(name).starts_with("short")) {
                *into = name;
            }
        };
        first(Field::Id, &mut own.id);
        first(Field::Title, &mut own.title);
        first(Field::Description, &mut own.text);
        first(Field::Image, &mut own.image);
        own
    }

    /// With another column for texts, for images.
    #[must_use]
    pub fn with(mut self, text: Option<&str>, image: Option<&str>) -> Self {
        if let Some(text) = text {
            text.clone_into(&mut self.text);
        }
        if let Some(image) = image {
            image.clone_into(&mut self.image);
        }
        self
    }

    fn header(&self, part: Part) -> Vec<&str> {
        let made = match part {
            Part::Texts => &self.text,
            Part::Images => &self.image,
        };
        match self.shop {
            Shop::Shopify => vec![&self.id, &self.title, made],
            // Products without a SKU are found by their number.
            Shop::WooCommerce => vec!["ID", &self.id, made],
            Shop::Akeneo => vec![&self.id, made],
        }
    }
}

/// A table of one part while it is written.
pub struct ShopTable<W: Write> {
    table: csv::Writer<W>,
    layout: Layout,
    part: Part,
}

impl<W: Write> std::fmt::Debug for ShopTable<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShopTable")
            .field("layout", &self.layout)
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}

impl<W: Write> ShopTable<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(out: W, layout: Layout, part: Part) -> io::Result<Self> {
        let delimiter = match layout.shop {
            Shop::Akeneo => b';',
            Shop::Shopify | Shop::WooCommerce => b',',
        };
        let mut table = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .from_writer(out);
        table.write_record(layout.header(part))?;
        Ok(Self {
            table,
            layout,
            part,
        })
    }

    /// Writes the rows of a product, if there are any.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, item: &Item) -> io::Result<Written> {
        let cells = match self.part {
            Part::Texts => item.text.iter().map(|text| html(text)).collect(),
            Part::Images if self.layout.shop == Shop::Shopify => item.images.clone(),
            Part::Images => {
                let all = item.images.join(", ");
                if all.is_empty() {
                    Vec::new()
                } else {
                    vec![all]
                }
            }
        };
        if cells.iter().all(String::is_empty) {
            return Ok(Written::Nothing);
        }
        let title = item.title.as_deref().unwrap_or_default();
        if self.layout.shop == Shop::Shopify && title.is_empty() {
            return Ok(Written::NoTitle);
        }
        for (place, cell) in cells.iter().enumerate() {
            match self.layout.shop {
                Shop::Shopify => {
                    // Further images of a handle stand on rows without a title.
                    let title = if place == 0 { title } else { "" };
                    self.table.write_record([item.id.as_str(), title, cell])?;
                }
                Shop::WooCommerce => {
                    let (number, sku) = match item.id.strip_prefix("id:") {
                        Some(number) => (number, ""),
                        None => ("", item.id.as_str()),
                    };
                    self.table.write_record([number, sku, cell])?;
                }
                Shop::Akeneo => self.table.write_record([item.id.as_str(), cell])?,
            }
        }
        Ok(Written::Row)
    }

    /// Writes what is still in memory, and gives back where it was written.
    ///
    /// # Errors
    /// What the disk says.
    pub fn into_inner(self) -> io::Result<W> {
        self.table
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::Mapping;

    fn item(id: &str) -> Item {
        Item {
            id: id.to_owned(),
            title: Some("Lamp, \"Arc\"".to_owned()),
            text: Some("Bright\n\nWarm".to_owned()),
            images: vec![
                "https://a.example/1.jpg".to_owned(),
                "https://a.example/2.jpg".to_owned(),
            ],
        }
    }

    #[track_caller]
    fn writes(layout: &Layout, part: Part, id: &str, expect: &str) {
        let mut out = Vec::new();
        let mut table = ShopTable::new(&mut out, layout.clone(), part).unwrap();
        assert_eq!(table.write(&item(id)).unwrap(), Written::Row);
        let nothing = Item {
            id: "other".to_owned(),
            title: Some("x".to_owned()),
            ..Item::default()
        };
        assert_eq!(table.write(&nothing).unwrap(), Written::Nothing);
        table.into_inner().unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn a_file_has_the_key_and_what_was_made_and_no_other_column() {
        let shopify = Layout::documented(Shop::Shopify);
        writes(
            &shopify,
            Part::Texts,
            "lamp",
            "Handle,Title,Body (HTML)\nlamp,\"Lamp, \"\"Arc\"\"\",<p>Bright</p><p>Warm</p>\n",
        );
        writes(
            &shopify,
            Part::Images,
            "lamp",
            "Handle,Title,Image Src\nlamp,\"Lamp, \"\"Arc\"\"\",https://a.example/1.jpg\nlamp,,https://a.example/2.jpg\n",
        );
        let woo = Layout::documented(Shop::WooCommerce);
        writes(
            &woo,
            Part::Texts,
            "L-1",
            "ID,SKU,Description\n,L-1,<p>Bright</p><p>Warm</p>\n",
        );
        writes(
            &woo,
            Part::Images,
            "id:7",
            "ID,SKU,Images\n7,,\"https://a.example/1.jpg, https://a.example/2.jpg\"\n",
        );
        let akeneo = Layout::documented(Shop::Akeneo).with(Some("description-en_US-print"), None);
        writes(
            &akeneo,
            Part::Texts,
            "00107",
            "sku;description-en_US-print\n00107;<p>Bright</p><p>Warm</p>\n",
        );
    }

    #[test]
    fn the_shops_own_names_are_used_where_its_file_is_given() {
        let layout = |shop, text: &str| {
            let catalog = Catalog::from_reader(Cursor::new(text.to_owned()), Mapping::default());
            Layout::of(shop, &catalog.unwrap())
        };
        let new = layout(
            Shop::Shopify,
            "Title,URL handle,Description,Product image URL\n",
        );
        assert_eq!(
            new.header(Part::Texts),
            ["URL handle", "Title", "Description"]
        );
        assert_eq!(
            new.header(Part::Images),
            ["URL handle", "Title", "Product image URL"]
        );
        let german = "ID,Typ,Artikelnummer,Name,Kurzbeschreibung,Beschreibung,Bilder,Übergeordnetes Produkt\n";
        assert_eq!(
            layout(Shop::WooCommerce, german).header(Part::Texts),
            ["ID", "Artikelnummer", "Beschreibung"]
        );
        let akeneo = layout(
            Shop::Akeneo,
            "sku;family;name-de_DE;description-de_DE-print\n",
        );
        assert_eq!(
            akeneo.header(Part::Texts),
            ["sku", "description-de_DE-print"]
        );
    }

    #[test]
    fn shopify_gets_no_row_without_a_title() {
        let mut table =
            ShopTable::new(Vec::new(), Layout::documented(Shop::Shopify), Part::Texts).unwrap();
        let item = Item {
            title: None,
            ..item("lamp")
        };
        assert_eq!(table.write(&item).unwrap(), Written::NoTitle);
    }
}
