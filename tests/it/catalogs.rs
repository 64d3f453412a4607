//! A shop's file in, a shop's file out, on the real executable.

use std::path::Path;

use serde_json::Value;

use crate::shop::{Engine, Shop, options, talk};

const PRODUCTS: &str = "Handle,Title,Vendor,Variant SKU,Variant Barcode,Image Src\n\
    lamp,Lamp,Kerzenhell,L-1,'4006381333931,https://images.example/lamp.jpg\n\
    lamp,,,L-2,,https://images.example/lamp-2.jpg\n\
    chair,=Chair,Oakmere,C-1,,\n\
    ,,,,,\n\
    nameless,,Oakmere,N-1,8E12,\n";

fn words(shop: &Shop, words: &[&str]) -> (Value, String) {
    let output = shop.output(words);
    let talk = talk(&output);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {talk}");
    (
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
        talk,
    )
}

fn number(report: &Value, path: &str) -> u64 {
    let number = report.pointer(path).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("no number at {path} of {report:#}"))
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// What is asked of the catalog.
const WHAT: [&str; 7] = [
    "--json",
    "import",
    "spring.csv",
    "--describe",
    "--image",
    "{title} on oak",
    "--model=seedream",
];

async fn with_catalog() -> Shop {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    std::fs::write(shop.folder.path().join("spring.csv"), PRODUCTS).unwrap();
    shop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_price_and_time_and_inserts_nothing() {
    let shop = with_catalog().await;
    let (report, _) = words(&shop, &[&WHAT[..], &["--dry-run"]].concat());
    assert_eq!(number(&report, "/jobs/0/new"), 2, "{report:#}");
    assert_eq!(number(&report, "/jobs/1/credits_each"), 3, "{report:#}");
    let samples = report.pointer("/samples").and_then(Value::as_array);
    assert_eq!(samples.map(Vec::len), Some(3));
    assert_eq!(
        number(&report, "/forecast/accounts/0/jobs"),
        2,
        "{report:#}"
    );
    assert!(!shop.folder.path().join("spring.rejected.csv").exists());
    let (listed, _) = words(&shop, &["--json", "jobs", "list"]);
    assert_eq!(listed, Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_inserts_nothing_twice_and_its_rejects_are_mended_and_imported_alone() {
    let shop = with_catalog().await;
    let folder = shop.folder.path();
    let (report, _) = words(&shop, &[&WHAT[..], &["--sample", "1"]].concat());
    let new = ["/jobs/0/new", "/jobs/1/new"].map(|path| number(&report, path));
    assert_eq!(new, [1, 1]);
    let (report, _) = words(&shop, &WHAT);
    let counts = [
        "/jobs/0/new",
        "/jobs/0/known",
        "/jobs/1/known",
        "/jobs/1/impossible",
    ];
    assert_eq!(
        counts.map(|path| number(&report, path)),
        [1, 1, 1, 1],
        "{report:#}"
    );
    let rejected = read(folder, "spring.rejected.csv");
    for reason in [
        "its digits are lost: export the column as text",
        "there is no usable image to begin with",
    ] {
        assert!(rejected.contains(reason), "{rejected}");
    }
    let mended = rejected.replace("nameless,,", "nameless,Table,");
    std::fs::write(folder.join("spring.rejected.csv"), mended).unwrap();
    let again = ["--json", "import", "spring.rejected.csv", "--describe"];
    let (report, _) = words(&shop, &again);
    let counts = ["/jobs/0/new", "/jobs/0/known"].map(|path| number(&report, path));
    assert_eq!(counts, [1, 1], "{report:#}");
    let batch = report.pointer("/files/0/batch");
    assert_eq!(batch, Some(&Value::from("spring")));
    let missing = [&WHAT[..], &["--only-missing", "--batch", "summer"]].concat();
    let (report, _) = words(&shop, &missing);
    assert_eq!(number(&report, "/jobs/0/has_job"), 2, "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_come_out_as_the_shop_imports_them() {
    let shop = with_catalog().await;
    let folder = shop.folder.path();
    words(&shop, &WHAT);
    words(&shop, &["run", "--until-idle"]);
    let links = "https://files.example/shop";
    let export = [
        "export",
        "--format=shopify",
        "--changed",
        "--catalog=spring.csv",
        "--links",
        links,
        "--output=out.csv",
    ];
    words(&shop, &export);
    let texts = read(folder, "out.csv");
    let begin = "Handle,Title,Body (HTML)\nchair,=Chair,\"<p>";
    assert!(
        texts.starts_with(begin) && texts.contains("\nlamp,Lamp,\"<p>"),
        "{texts}"
    );
    let images = read(folder, "out.images.csv");
    let begin = "Handle,Title,Image Src\nlamp,Lamp,https://files.example/shop/image/";
    assert!(images.starts_with(begin), "{images}");
    // Nothing has ended since.
    std::fs::remove_file(folder.join("out.csv")).unwrap();
    words(&shop, &export);
    assert!(!folder.join("out.csv").exists());

    words(
        &shop,
        &[
            "export",
            "--output=all.csv",
            "--apostrophes",
            "--files=taken",
        ],
    );
    let all = read(folder, "all.csv");
    assert!(
        all.contains("\"'4006381333931\"") && all.contains("\"'=Chair\""),
        "{all}"
    );
    assert!(all.contains("\"taken/image-"), "{all}");
    assert_eq!(std::fs::read_dir(folder.join("taken")).unwrap().count(), 1);
    words(&shop, &["export", "--format=google", "--output=google.xml"]);
    assert!(read(folder, "google.xml").contains("trained_algorithmic_media"));
    let lines = shop.output(&["export", "--format=jsonl", "--rows=deliverables"]);
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
}

#[test]
fn a_look_needs_no_config_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spring.csv"), PRODUCTS).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vitrine"));
    for name in ["VITRINE_CONFIG", "VITRINE_DATABASE_URL", "VITRINE_LOG"] {
        command.env_remove(name);
    }
    let output = command
        .args(["import", "spring.csv"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    assert!(
        said.contains("spring.csv: Shopify, UTF-8, cells divided by ','"),
        "{said}"
    );
    assert!(
        said.contains("4 rows: 2 products with 1 further rows, 1 rejected"),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_mistyped_name_in_a_prompt_ends_with_2_and_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spring.csv"), PRODUCTS).unwrap();
    for words in [
        &["import", "spring.csv", "--dry-run", "--image", "{titel}"][..],
        &["import", "spring.csv", "--map", "Vendor=colour"],
        &["import", "spring.csv", "--image", "{title"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vitrine"));
        let output = command
            .args(words)
            .current_dir(folder.path())
            .env_remove("VITRINE_CONFIG")
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            talk(&output)
        );
    }
}
