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

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_goes_in_once_and_its_results_come_out_for_the_shop() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    let folder = shop.folder.path().to_path_buf();
    std::fs::write(folder.join("spring.csv"), PRODUCTS).unwrap();
    let import = [
        "--json",
        "import",
        "spring.csv",
        "--describe",
        "--image",
        "{title} on oak",
        "--model",
        "seedream",
    ];

    let dry = [&import[..], &["--dry-run"]].concat();
    let (report, _) = words(&shop, &dry);
    assert_eq!(number(&report, "/jobs/0/new"), 2, "{report:#}");
    assert_eq!(
        report
            .pointer("/samples")
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(3)
    );
    assert!(
        report.pointer("/forecast/accounts/0/jobs").is_some(),
        "{report:#}"
    );
    assert!(!folder.join("spring.rejected.csv").exists());
    let (report, _) = words(&shop, &["--json", "jobs", "list"]);
    assert_eq!(report, Value::Array(vec![]));

    let (report, _) = words(&shop, &[&import[..], &["--sample", "1"]].concat());
    assert_eq!(
        (
            number(&report, "/jobs/0/new"),
            number(&report, "/jobs/1/new")
        ),
        (1, 1)
    );
    let (report, _) = words(&shop, &import);
    assert_eq!(
        (
            number(&report, "/jobs/0/new"),
            number(&report, "/jobs/0/known")
        ),
        (1, 1)
    );
    assert_eq!(
        (
            number(&report, "/jobs/1/impossible"),
            number(&report, "/files/0/products")
        ),
        (1, 2)
    );
    let rejected = read(&folder, "spring.rejected.csv");
    assert!(
        rejected.contains("its digits are lost: export the column as text"),
        "{rejected}"
    );
    assert!(
        rejected.contains("there is no usable image to begin with"),
        "{rejected}"
    );

    // Mended and imported alone.
    let mended = rejected.replace("nameless,,", "nameless,Table,");
    std::fs::write(folder.join("spring.rejected.csv"), mended).unwrap();
    let (report, _) = words(
        &shop,
        &["--json", "import", "spring.rejected.csv", "--describe"],
    );
    assert_eq!(
        (
            number(&report, "/jobs/0/new"),
            number(&report, "/jobs/0/known")
        ),
        (1, 1)
    );
    assert_eq!(
        report.pointer("/files/0/batch"),
        Some(&Value::from("spring"))
    );

    words(&shop, &["run", "--until-idle"]);
    let links = "https://files.example/shop";
    let export = [
        "export",
        "--format",
        "shopify",
        "--changed",
        "--catalog",
        "spring.csv",
        "--links",
        links,
        "--output",
        "out.csv",
    ];
    words(&shop, &export);
    let texts = read(&folder, "out.csv");
    assert!(
        texts.starts_with("Handle,Title,Body (HTML)\nchair,=Chair,<"),
        "{texts}"
    );
    assert_eq!(
        texts
            .lines()
            .filter(|line| line.starts_with("lamp,Lamp,<"))
            .count(),
        1,
        "{texts}"
    );
    let images = read(&folder, "out.images.csv");
    assert!(
        images.starts_with("Handle,Title,Image Src\nlamp,Lamp,https://files.example/shop/image/"),
        "{images}"
    );
    // Nothing has ended since.
    std::fs::remove_file(folder.join("out.csv")).unwrap();
    words(&shop, &export);
    assert!(!folder.join("out.csv").exists());

    words(&shop, &["export", "--output", "all.csv", "--apostrophes"]);
    let all = read(&folder, "all.csv");
    assert!(
        all.contains("\"'4006381333931\"") && all.contains("\"'=Chair\""),
        "{all}"
    );
    words(
        &shop,
        &["export", "--format", "google", "--output", "google.xml"],
    );
    assert!(read(&folder, "google.xml").contains("trained_algorithmic_media"));
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
