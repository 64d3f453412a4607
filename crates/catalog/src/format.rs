//! Which program a table comes from, told by the names of its columns.

use std::fmt;

use crate::aliases::{WOO_IMAGES, WOO_PARENT, WOO_TYPE};

/// The program that wrote a catalog, as far as it makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A table of no program in particular.
    Table,
    /// One JSON object on each line.
    JsonLines,
    /// Shopify's product export with `Handle` and `Body (HTML)`.
    Shopify,
    /// Shopify's product export with `URL handle` and `Product image URL`.
    ShopifyNew,
    /// WooCommerce's product export, in any language.
    WooCommerce,
    /// A feed for Google Merchant Center, as a table or as XML.
    Google,
    /// A product export of Akeneo PIM.
    Akeneo,
    /// A product export of Magento or Adobe Commerce.
    Magento,
    /// Data of Open Food Facts.
    OpenFoodFacts,
}

impl Format {
    /// The format of a table whose columns have these [plain](super::columns::plain) names; `header` are
    /// the names as the file has them.
    pub(crate) fn of(names: &[String], header: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|known| known == name);
        let any = |list: &[&str]| list.iter().any(|name| has(name));
        let count = |list: &[&str]| list.iter().filter(|name| has(name)).count();
        if has("urlhandle") {
            return Self::ShopifyNew;
        }
        if has("handle") && any(&["bodyhtml", "variantsku", "imagesrc", "variantprice"]) {
            return Self::Shopify;
        }
        let magento = [
            "storeviewcode",
            "attributesetcode",
            "attributeset",
            "productwebsites",
            "hasoptions",
        ];
        if has("sku") && any(&magento) {
            return Self::Magento;
        }
        if any(WOO_TYPE) && any(WOO_PARENT) && any(WOO_IMAGES) {
            return Self::WooCommerce;
        }
        let food = [
            "nutriscoregrade",
            "statestags",
            "creator",
            "createdt",
            "novagroup",
            "pnnsgroups1",
        ];
        if has("code") && has("productname") && count(&food) > 0 {
            return Self::OpenFoodFacts;
        }
        let google = [
            "imagelink",
            "availability",
            "googleproductcategory",
            "condition",
            "itemgroupid",
        ];
        if has("id") && has("title") && count(&google) > 1 {
            return Self::Google;
        }
        let is_localised = header.iter().any(|name| has_locale(name));
        if any(&["sku", "identifier", "uuid"]) && (has("family") || is_localised) {
            return Self::Akeneo;
        }
        Self::Table
    }

    /// Its name in reports and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::JsonLines => "JSON lines",
            Self::Shopify | Self::ShopifyNew => "Shopify",
            Self::WooCommerce => "WooCommerce",
            Self::Google => "Google Merchant",
            Self::Akeneo => "Akeneo",
            Self::Magento => "Magento",
            Self::OpenFoodFacts => "Open Food Facts",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `description-de_DE-print`: a column of one language, as Akeneo writes them.
fn has_locale(name: &str) -> bool {
    name.split_once('-')
        .is_some_and(|(_, rest)| super::columns::is_locale(&rest.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::plain;

    #[track_caller]
    fn is(header: &str, expect: Format) {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        let names: Vec<String> = header.iter().map(|name| plain(name)).collect();
        assert_eq!(Format::of(&names, &header), expect, "{header:?}");
    }

    #[test]
    fn each_program_is_told_by_its_columns() {
        is("Handle,Title,Body (HTML),Variant SKU", Format::Shopify);
        is(" handle , TITLE,Image Src", Format::Shopify);
        is(
            "Title,URL handle,Description,Product image URL",
            Format::ShopifyNew,
        );
        is("ID,Type,SKU,Name,Images,Parent", Format::WooCommerce);
        is(
            "ID,Typ,Artikelnummer,Name,Bilder,Übergeordnetes Produkt",
            Format::WooCommerce,
        );
        is("id,title,link,image_link,availability", Format::Google);
        is("g:id,g:title,g:image_link,g:condition", Format::Google);
        is("sku,family,categories,name-en_US", Format::Akeneo);
        is("uuid,description-de_DE-print", Format::Akeneo);
        is("category,name,sku,attribute_set", Format::Magento);
        is(
            "sku,store_view_code,attribute_set_code,product_type",
            Format::Magento,
        );
        is("code,url,creator,product_name", Format::OpenFoodFacts);
        is("sku,ean,name,brand,image", Format::Table);
        is("code,product_name", Format::Table);
        is("", Format::Table);
    }
}
