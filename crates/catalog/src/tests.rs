//! Small catalogs with the oddities of real exports, and what comes of them.

mod shops;

use std::io::{self, Cursor, Read};
use std::path::Path;

use domain::gtin::Verdict;

use super::*;

fn open(text: impl AsRef<[u8]>) -> Result<Catalog, CatalogError> {
    Catalog::from_reader(Cursor::new(text.as_ref().to_vec()), Mapping::default())
}

fn rows(text: impl AsRef<[u8]>) -> Vec<Row> {
    open(text).unwrap().map(Result::unwrap).collect()
}

#[track_caller]
fn product(text: impl AsRef<[u8]>) -> Product {
    match rows(text).into_iter().next().unwrap() {
        Row::Product(product) => *product,
        other => panic!("{other:?}"),
    }
}

fn codes(product: &Product) -> Vec<&'static str> {
    product.notices.iter().map(|notice| notice.code).collect()
}

fn summary(catalog: Catalog) -> CatalogSummary {
    let mut summary = CatalogSummary::default();
    for row in catalog {
        summary.add(&row.unwrap());
    }
    summary
}

#[test]
fn a_row_becomes_a_product() {
    let product = product(
        "SKU;EAN;Product name;Brands;Images\n\
         L-1;'4006381333931; Lamp,\u{a0} oak ;\"Kerzenhell,Oakmere\";\
         https://images.example/a.jpg | https://images.example/b.jpg?x=1,2\n",
    );
    let records = product.records.clone();
    assert_eq!(records[0].cells[0], "L-1");
    assert_eq!(
        product,
        Product {
            line: 2,
            id: Some("L-1".into()),
            ean: Some("4006381333931".into()),
            barcode: domain::gtin::check("4006381333931"),
            title: Some("Lamp, oak".into()),
            brand: Some("Kerzenhell".into()),
            image_urls: vec![
                "https://images.example/a.jpg".into(),
                "https://images.example/b.jpg?x=1,2".into(),
            ],
            category: None,
            description: None,
            repeats: None,
            notices: vec![],
            records,
        }
    );
}

#[test]
fn a_barcode_is_used_repaired_or_left_for_the_name() {
    for (barcode, ean, code) in [
        ("4006381333931", Some("4006381333931"), None),
        (
            "1234567890123",
            Some("1234567890123"),
            Some("wrong_check_digit"),
        ),
        ("37212000368", Some("037212000368"), Some("barcode_padded")),
        ("4905707", None, Some("wrong_length")), // Padded, it is an in-store number.
        ("7268033", None, Some("wrong_length")),
        ("2000000123752", None, Some("in_store")),
        ("\"8,02E+12\"", None, Some("scientific")),
        ("n/a", None, Some("not_digits")),
        ("", None, None),
    ] {
        let product = product(format!("ean,name\n{barcode},Lamp\n"));
        assert_eq!(product.ean.as_deref(), ean, "{barcode}");
        assert_eq!(codes(&product), Vec::from_iter(code), "{barcode}");
        assert!(
            product
                .notices
                .iter()
                .all(|n| n.line == 2 && n.column == "ean")
        );
    }
}

#[test]
fn a_row_without_a_usable_barcode_and_without_a_name_is_rejected() {
    for (barcode, usable) in [
        ("", false),
        ("2000000123752", false),
        ("4905707", false),
        ("8E12", false),
        ("LAMP", false),
        ("1234567890123", true),
        ("37212000368", true),
    ] {
        match &rows(format!("Bar Code,Name,Brand\n{barcode},\" \",Oakmere\n"))[0] {
            Row::Product(_) => assert!(usable, "{barcode}"),
            Row::Part(part) => panic!("{part:?}"),
            Row::Rejected(rejected) => {
                assert!(!usable, "{barcode}");
                assert_eq!(
                    (rejected.line, rejected.code),
                    (2, "no_barcode_and_no_name")
                );
                assert_eq!(rejected.column, "Bar Code");
                assert!(
                    rejected
                        .reason
                        .contains("neither a usable barcode nor a name")
                );
                assert!(rejected.reason.contains(barcode), "{}", rejected.reason);
            }
        }
    }
}

#[test]
fn unusable_images_are_left_out_and_named() {
    let product = product(
        "name,picture,image_url\n\
         Lamp,images/10433706.jpg,\"https://images.example/a.jpg?sig=s3cret, \
         https://me:s3cret@images.example/b.jpg\"\n",
    );
    assert_eq!(
        product.image_urls,
        ["https://images.example/a.jpg?sig=s3cret"]
    );
    assert_eq!(
        codes(&product),
        ["unusable_image_url", "unusable_image_url"]
    );
    let columns: Vec<&str> = product.notices.iter().map(|n| n.column.as_str()).collect();
    assert_eq!(columns, ["image_url", "picture"]);
    assert!(
        product
            .notices
            .iter()
            .all(|notice| !notice.sentence.contains("s3cret"))
    );
}

#[test]
fn a_comma_within_a_url_divides_nothing() {
    let url = "https://images.example/w_400,h_300/lamp.jpg";
    let other = "https://images.example/fetch?u=https://shop.example/x.jpg";
    for between in [",", ", ", ";", "|", " ", "\n", " , \n "] {
        let product = product(format!(
            "name,images\nLamp,\"{url}{between}{other}{between}{url}\""
        ));
        assert_eq!(product.image_urls, [url, other], "{between:?}");
    }
}

#[test]
fn repetitions_name_the_first_line() {
    let rows = rows("sku,ean,name\nA,4006381333931,x\nA,96385074,y\nB,4006381333931,z\n");
    let Row::Product(second) = &rows[1] else {
        panic!()
    };
    assert_eq!(codes(second), ["repeated_sku"]);
    let Row::Product(third) = &rows[2] else {
        panic!()
    };
    assert_eq!(codes(third), ["repeated_barcode"]);
    assert!(
        third.notices[0].sentence.contains("line 2"),
        "{}",
        third.notices[0].sentence
    );
}

#[test]
fn what_tells_products_apart_is_their_id_then_the_barcode_then_the_name() {
    let long = "x".repeat(300);
    let text =
        format!("sku,ean,name\n,,Lamp\n,96385074,Lamp\nA,,Lamp\n,,Lamp\n{long}1,,a\n{long}2,,b\n");
    let products: Vec<Product> = rows(text)
        .into_iter()
        .filter_map(|row| match row {
            Row::Product(product) => Some(*product),
            Row::Part(_) | Row::Rejected(_) => None,
        })
        .collect();
    let ids: Vec<String> = products.iter().map(Product::client_product_id).collect();
    assert_eq!(ids[..4], ["Lamp", "96385074", "A", "Lamp"]);
    let repeats: Vec<Option<Repeat>> = products.iter().map(|product| product.repeats).collect();
    assert_eq!(
        repeats,
        [None, None, None, Some(Repeat::Title(2)), None, None]
    );
    assert!(ids[4] != ids[5] && ids[4].chars().count() < 250);
}

#[test]
fn ragged_rows_and_cells_over_lines_survive() {
    let text = "name,description,ean\r\n\
                \"Lamp\",\"<p>one,\r\ntwo \"\"three\"\"</p>\",4006381333931\r\n\
                Table\r\n\
                ,,\r\n\
                Chair,Oak, beech,96385074\r\n";
    let rows = rows(text);
    let lines: Vec<u64> = rows
        .iter()
        .map(|row| match row {
            Row::Product(product) => product.line,
            Row::Rejected(rejected) => rejected.line,
            Row::Part(part) => part.line,
        })
        .collect();
    assert_eq!(lines, [2, 4, 6]);
    let Row::Product(chair) = &rows[2] else {
        panic!()
    };
    assert_eq!(codes(chair), ["too_many_cells", "not_digits"]);
    assert_eq!(chair.title.as_deref(), Some("Chair"));
}

#[test]
fn an_unclosed_quote_is_told_and_costs_no_row() {
    let rows = rows("name\tbrand\n\"Lamp\tOakmere\nTable\tOakmere\n");
    assert_eq!(rows.len(), 2);
    let Row::Product(lamp) = &rows[0] else {
        panic!()
    };
    assert_eq!(
        (lamp.title.as_deref(), codes(lamp)),
        (Some("\"Lamp"), vec!["unclosed_quote"])
    );
}

#[test]
fn damaged_letters_are_told() {
    let text = b"name,brand\n\xC3\x89t\xC3\xA9,Oakmere\nCaf\xE9,Oakmere\n";
    let rows = rows(text);
    let Row::Product(cafe) = &rows[1] else {
        panic!()
    };
    assert_eq!(codes(cafe), ["damaged_text"]);
    assert_eq!(cafe.notices[0].column, "name");
}

#[test]
fn delimiter_and_encoding_are_found() {
    for (text, delimiter, encoding) in [
        (&b"ean;name\n1;M\xF6bel\n"[..], ';', "windows-1252"),
        ("ean|name\n1|Möbel\n".as_bytes(), '|', "UTF-8"),
        (b"\n\xEF\xBB\xBFean\tname\n1\tM\xC3\xB6bel\n", '\t', "UTF-8"),
        (b"sep=;\r\nean;name\r\n1;M\xC3\xB6bel\r\n", ';', "UTF-8"),
    ] {
        let mut catalog = open(text).unwrap();
        assert_eq!(catalog.delimiter(), Some(delimiter));
        let Some(Ok(Row::Product(product))) = catalog.next() else {
            panic!()
        };
        assert_eq!(product.title.as_deref(), Some("Möbel"));
        assert_eq!(catalog.encoding(), encoding);
        assert!(catalog.next().is_none());
    }
}

#[test]
fn a_header_that_names_no_product_is_answered_with_what_is_needed() {
    let error = open("price,qty\n1,2\n").unwrap_err().to_string();
    assert!(
        error.contains("It has: price, qty. Say which it is with --map"),
        "{error}"
    );
    assert!(
        error.contains("ean, ean13") && error.contains("product"),
        "{error}"
    );
    for text in ["", "\n\n", " \n;;;\n"] {
        assert!(matches!(open(text), Err(CatalogError::Empty)), "{text:?}");
    }
    assert!(matches!(
        open(b"PK\x03\x04\0\0"),
        Err(CatalogError::NotText)
    ));
    let no_feed = open("\n<?xml version='1.0'?><html><body>Not found</body></html>");
    assert!(matches!(no_feed, Err(CatalogError::Empty)));
    assert!(matches!(
        open("[{\"ean\":1}]"),
        Err(CatalogError::JsonArray)
    ));
    let missing = Path::new("no/such/catalog.csv");
    let error = Catalog::open(missing, Mapping::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "catalog no/such/catalog.csv cannot be opened");
}

/// Whatever the bytes are, every row begins behind the one before it and within the file.
#[test]
fn no_bytes_stop_the_reader() {
    let pieces: [&[u8]; 12] = [
        b"\"",
        b"\"\"",
        b",",
        b"\t",
        b"\n",
        b"\r\n",
        b"Lamp",
        b" ",
        b"4006381333931",
        b"\xE9",
        "é".as_bytes(),
        b"\xEF\xBB\xBF",
    ];
    let mut state = 1_u64;
    for _ in 0..2_000 {
        let mut text = b"ean,name,brand\n".to_vec();
        for _ in 0..60 {
            // Knuth's linear congruential generator: the same texts in every run.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.extend_from_slice(pieces[(state >> 33) as usize % pieces.len()]);
        }
        text.extend_from_slice(b"\n4006381333931,last,row\n");
        let lines: Vec<u64> = rows(&text)
            .iter()
            .map(|row| match row {
                Row::Product(product) => product.line,
                Row::Rejected(rejected) => rejected.line,
                Row::Part(part) => part.line,
            })
            .collect();
        let last = text.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert!(
            lines.is_sorted_by(|a, b| a < b),
            "{:?}",
            String::from_utf8_lossy(&text)
        );
        assert!(lines.iter().all(|line| (2..=last).contains(line)));
        assert!(!lines.is_empty());
    }
}

#[test]
fn a_disk_that_fails_ends_the_catalog_with_an_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let head = format!("name\n{}", "Lamp\n".repeat(20_000));
    let mut catalog =
        Catalog::from_reader(Cursor::new(head).chain(Failing), Mapping::default()).unwrap();
    let products = catalog.by_ref().take_while(Result::is_ok).count();
    assert!(products > 10_000, "{products}");
    assert!(catalog.next().is_none());
}

#[test]
fn the_demo_catalog_holds_what_the_demo_tells() {
    let summary = summary(Catalog::demo().unwrap());
    assert_eq!(
        summary.to_string(),
        "24 rows: 23 products, 1 rejected; barcodes: 1 empty, 1 in store, 20 valid, \
         1 wrong check digit, 1 wrong length; 23 with a name, 23 with a brand, 22 with an image"
    );
    assert_eq!(summary.with_ean, 21);
    assert_eq!(summary.with_barcode("valid"), 20);
    let codes: Vec<_> = summary.codes.into_iter().collect();
    assert_eq!(
        codes,
        [
            ("in_store", 1),
            ("no_barcode_and_no_name", 1),
            ("wrong_check_digit", 1),
            ("wrong_length", 1)
        ]
    );
}

/// GS1 keeps the prefix 952 for demonstrations, so that no real product is asked about.
#[test]
fn the_demo_catalog_sells_nothing_real() {
    for row in Catalog::demo().unwrap() {
        let Row::Product(product) = row.unwrap() else {
            continue;
        };
        if let Verdict::Valid(gtin) = &product.barcode {
            assert!(gtin.as_str().starts_with("952"), "{gtin}");
        }
        for url in &product.image_urls {
            assert!(url.starts_with("https://images.example/"), "{url}");
        }
    }
}

/// Runs where the variable names a folder with the real exports, which are not ours to keep here.
#[test]
fn open_food_facts_of_italy_reads_whole() {
    let Some(folder) = std::env::var_os("VITRINE_CATALOGS") else {
        return;
    };
    let path = Path::new(&folder).join("off_italy_2021.csv");
    let summary = summary(Catalog::open(&path, Mapping::default()).unwrap());
    let verdicts = ["valid", "in_store", "wrong_check_digit", "wrong_length"];
    let counts = verdicts.map(|verdict| summary.with_barcode(verdict));
    assert_eq!(
        (summary.rows, counts, summary.padded),
        (1_263, [1_185, 45, 22, 11], 6)
    );
}
