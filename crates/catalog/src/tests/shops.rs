//! Small files in the formats of shops, and what is read from them.

use std::io::Cursor;

use crate::*;

fn read(text: &str) -> (Catalog, Vec<Row>) {
    let mut catalog =
        Catalog::from_reader(Cursor::new(text.to_owned()), Mapping::default()).unwrap();
    let rows = catalog.by_ref().map(Result::unwrap).collect();
    (catalog, rows)
}

fn products(rows: &[Row]) -> Vec<&Product> {
    let found = rows.iter().filter_map(|row| match row {
        Row::Product(product) => Some(product.as_ref()),
        Row::Part(_) | Row::Rejected(_) => None,
    });
    found.collect()
}

#[test]
fn variants_and_images_of_a_shopify_handle_are_one_product() {
    let old = "Handle,Title,Body (HTML),Vendor,Option1 Value,Variant SKU,Variant Barcode,Image Src,Variant Image\n\
        lamp,Lamp,<p>Bright</p>,Kerzenhell,Black,L-1,'2000000123752,https://a.example/1.jpg,\n\
        lamp,,,,Brass,L-2,'4006381333931,https://a.example/2.jpg,https://a.example/v.jpg\n\
        lamp,,,,,,,https://a.example/3.jpg,\n\
        chair,Chair,,,,C-1,,,\n";
    let new = old
        .replace("Handle,Title,Body (HTML)", "URL handle,Title,Description")
        .replace(
            "Variant SKU,Variant Barcode,Image Src,Variant Image",
            "SKU,Barcode,Product image URL,Variant image URL",
        );
    for (text, format) in [(old, Format::Shopify), (new.as_str(), Format::ShopifyNew)] {
        let (catalog, rows) = read(text);
        assert_eq!(catalog.format(), format);
        let products = products(&rows);
        assert_eq!(products.len(), 2);
        let lamp = products[0];
        assert_eq!(lamp.id.as_deref(), Some("lamp"));
        assert_eq!(lamp.ean.as_deref(), Some("4006381333931"));
        assert_eq!((lamp.line, lamp.records.len()), (2, 3));
        assert_eq!(lamp.description.as_deref(), Some("Bright"));
        let urls =
            ["1.jpg", "2.jpg", "3.jpg", "v.jpg"].map(|name| format!("https://a.example/{name}"));
        assert_eq!(lamp.image_urls, urls);
        let mut summary = CatalogSummary::default();
        rows.iter().for_each(|row| summary.add(row));
        assert!(
            summary
                .to_string()
                .starts_with("4 rows: 2 products with 2 further rows, 0 rejected")
        );
    }
}

#[test]
fn variations_of_woocommerce_belong_to_their_parent_in_any_language() {
    let english = "ID,Type,SKU,Name,Description,Images,Parent\n\
        7,variable,TEE,T-shirt,Soft,\"https://a.example/1.jpg, https://a.example/2.jpg\",\n\
        8,variation,TEE-R,T-shirt - Red,,,id:7\n\
        9,variation,TEE-B,T-shirt - Blue,,,TEE\n\
        10,simple,,Cap,,,\n\
        11,variation,HAT-B,Hat - Blue,,,id:99\n";
    let german = english.replace(
        "ID,Type,SKU,Name,Description,Images,Parent",
        "ID,Typ,Artikelnummer,Name,Beschreibung,Bilder,Übergeordnetes Produkt",
    );
    for text in [english, &german] {
        let (catalog, rows) = read(text);
        assert_eq!(catalog.format(), Format::WooCommerce);
        let ids: Vec<&str> = products(&rows)
            .iter()
            .map(|one| one.id.as_deref().unwrap())
            .collect();
        assert_eq!(ids, ["TEE", "id:10", "HAT-B"]);
        assert_eq!(products(&rows)[0].image_urls.len(), 2);
        assert_eq!(products(&rows)[2].notices[0].code, "parent_not_in_file");
        assert_eq!(
            rows.iter()
                .filter(|row| matches!(row, Row::Part(_)))
                .count(),
            2
        );
    }
}

#[test]
fn google_feeds_as_table_and_as_xml_are_the_same_products() {
    let table = "id\ttitle\tdescription\tgtin\tbrand\timage_link\tadditional_image_link\tavailability\n\
        A-1\tLamp\tBright\t4006381333931\tKerzenhell\thttps://a.example/1.jpg\thttps://a.example/2.jpg,https://a.example/3.jpg\tin stock\n";
    let xml = "<?xml version=\"1.0\"?><rss xmlns:g=\"http://base.google.com/ns/1.0\" version=\"2.0\"><channel><title>Shop</title><item>\
        <g:id>A-1</g:id><title>Lamp</title><description><![CDATA[Bright]]></description><g:gtin>4006381333931</g:gtin>\
        <g:brand>Kerzenhell</g:brand><g:image_link>https://a.example/1.jpg</g:image_link>\
        <g:additional_image_link>https://a.example/2.jpg</g:additional_image_link>\
        <g:additional_image_link>https://a.example/3.jpg</g:additional_image_link>\
        <g:availability>in_stock</g:availability></item></channel></rss>";
    let one = |text: &str| {
        let (catalog, rows) = read(text);
        assert_eq!(catalog.format(), Format::Google);
        let mut product = products(&rows)[0].clone();
        product.records.clear();
        product.line = 0;
        product
    };
    assert_eq!(one(table), one(xml));
    assert_eq!(one(xml).image_urls.len(), 3);
}

#[test]
fn akeneo_takes_the_first_language_that_has_a_text() {
    let (catalog, rows) = read(
        "sku;family;code;name-fr_FR;name-en_US;description-en_US-print;picture;brand\n\
         10;lamps;x;;Lamp;Bright;images/10.jpg;\n11;lamps;y;Chaise;Chair;;https://a.example/1.jpg;Oakmere\n",
    );
    assert_eq!(catalog.format(), Format::Akeneo);
    let products = products(&rows);
    let titles: Vec<&str> = products
        .iter()
        .map(|one| one.title.as_deref().unwrap())
        .collect();
    assert_eq!(titles, ["Lamp", "Chaise"]);
    assert!(products[0].image_urls.is_empty() && products[1].image_urls.len() == 1);
    assert!(
        products
            .iter()
            .all(|one| one.notices.iter().all(|notice| notice.code != "not_digits"))
    );
}

#[test]
fn views_of_a_magento_product_are_one_product() {
    let (catalog, rows) = read(
        "sku,store_view_code,attribute_set_code,name,description,base_image,additional_images\n\
         24-1,,Bag,Duffle,Big,https://a.example/1.jpg,\"https://a.example/2.jpg,https://a.example/3.jpg\"\n\
         24-1,de,Bag,Tasche,Gross,,\n,,,,,,https://a.example/4.jpg\n24-2,,Bag,Pack,,,\n",
    );
    assert_eq!(catalog.format(), Format::Magento);
    let products = products(&rows);
    assert_eq!(products.len(), 2);
    assert_eq!(
        (products[0].title.as_deref(), products[0].image_urls.len()),
        (Some("Duffle"), 4)
    );
}

#[test]
fn json_lines_are_read_as_their_members() {
    let (catalog, rows) = read(
        "{\"sku\":\"A\",\"ean\":4006381333931,\"name\":\"Lamp\"}\n\
         {\"sku\":\"B\",\"name\":\"Chair\",\"brand\":\"Oakmere\",\"images\":[\"https://a.example/1.jpg\"]}\n\
         no json\n",
    );
    assert_eq!(
        (catalog.format(), catalog.delimiter()),
        (Format::JsonLines, None)
    );
    let products = products(&rows);
    assert_eq!(products[0].ean.as_deref(), Some("4006381333931"));
    assert_eq!(products[1].brand.as_deref(), Some("Oakmere"));
    assert_eq!(products[1].image_urls, ["https://a.example/1.jpg"]);
    assert!(matches!(&rows[2], Row::Rejected(no) if no.code == "unreadable" && no.line == 3));
}

#[test]
fn a_mapping_names_what_no_alias_knows() {
    let text = "Unser Code;Was es ist\n4006381333931;Lampe\n";
    let open = |column: &str, field| {
        let mapping = Mapping(vec![(column.to_owned(), field)]);
        Catalog::from_reader(Cursor::new(text), mapping)
    };
    let mut catalog = open("unser code", Field::Barcode).unwrap();
    assert_eq!(catalog.columns_of(Field::Barcode), ["Unser Code"]);
    assert!(matches!(catalog.next(), Some(Ok(Row::Product(one))) if one.ean.is_some()));
    let error = open("code", Field::Barcode).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no column \"code\". There are: Unser Code, Was es ist"
    );
}

#[test]
fn rejected_rows_can_be_mended_and_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (text, name) in [
        ("sku;ean;name\nA;;\nB;4006381333931;Lamp\n", "table.csv"),
        (
            "{\"sku\":\"A\",\"ean\":\"\"}\n{\"sku\":\"B\",\"name\":\"Lamp\"}\n",
            "lines.jsonl",
        ),
    ] {
        let path = folder.path().join(name);
        let (catalog, rows) = read(text);
        let mut rejects = Rejects::new(&path, catalog.delimiter().is_some());
        let Row::Rejected(row) = &rows[0] else {
            panic!()
        };
        let why = Why {
            line: row.line,
            column: &row.column,
            reason: &row.reason,
        };
        rejects.add(catalog.header(), &row.records, why).unwrap();
        rejects.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(
            written.contains("neither a usable barcode nor a name"),
            "{written}"
        );
        // Somebody mends it; the reasons may stay.
        let mended = written
            .replace("A,,", "A,,Chair")
            .replace("\"sku\":\"A\"", "\"sku\":\"A\",\"name\":\"Chair\"");
        let (again, rows) = read(&mended);
        assert_eq!(
            products(&rows)[0].title.as_deref(),
            Some("Chair"),
            "{mended}"
        );
        // And what is rejected once more has the reasons once.
        let path = folder.path().join("again");
        let mut rejects = Rejects::new(&path, again.delimiter().is_some());
        rejects
            .add(again.header(), &products(&rows)[0].records, why)
            .unwrap();
        rejects.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.matches("vitrine_reason").count(), 1, "{written}");
    }
}

/// Whatever the bytes are, a feed and JSON lines are read to their end or refused with a line.
#[test]
fn no_bytes_stop_the_readers_of_feeds_and_json() {
    let feed = [
        "<item>",
        "</item>",
        "<g:id>",
        "</g:id>",
        "<title>",
        "</title>",
        "<![CDATA[",
        "]]>",
        "&",
        "&amp;",
        "&#x0;",
        "<",
        ">",
        "\"",
        "Lamp",
        "\n",
        "<link href='x'/>",
        "é",
        "\u{0}",
        "<!--",
        "-->",
        "<?x?>",
    ];
    let json = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"name\"",
        "\"ean\"",
        "1e999",
        "\"\\ud800\"",
        "null",
        "\n",
        " ",
        "Lamp",
        "\u{0}",
        "\"",
        "é",
        "{\"name\":\"Lamp\"}\n",
        "true",
    ];
    let mut state = 1_u64;
    for round in 0..2_000 {
        let (begin, pieces) = match round % 2 {
            0 => ("<rss><item><title>Lamp</title></item>", &feed[..]),
            _ => ("{\"name\":\"Lamp\"}\n", &json[..]),
        };
        let mut text = begin.to_owned();
        for _ in 0..60 {
            // Knuth's linear congruential generator: the same texts in every run.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text += pieces[(state >> 33) as usize % pieces.len()];
        }
        let lines = text.lines().count() as u64;
        let Ok(catalog) = Catalog::from_reader(Cursor::new(text.clone()), Mapping::default())
        else {
            continue;
        };
        let rows: Vec<_> = catalog.collect();
        assert!(rows.iter().rev().skip(1).all(Result::is_ok), "{text:?}");
        if let Some(Err(CatalogError::Malformed { line, .. })) = rows.last() {
            assert!(*line <= lines + 1, "{line}: {text:?}");
        }
    }
}
