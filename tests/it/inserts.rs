//! Plain SQL is the front door: rows that other programs insert, with the least columns, on both
//! databases, while the worker works or before.

use serde_json::{Map, Value, json};

use super::shop::{BOTH, Engine, Shop, options, talk};

const IMAGE: &str = "https://images.example/lamp.jpg";

/// Jobs of all kinds that are not completed.
const OPEN: &str = "select (select count(*) from descriptions where status <> 'completed') \
    + (select count(*) from image_generations where status <> 'completed') \
    + (select count(*) from productions where status <> 'completed') as open";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_columns_are_taken_while_the_worker_runs() {
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        shop.edit_config("\"AwaitingApproval\"", "\"Published\"");
        shop.sql("insert into descriptions (ean) values ('4006381333931')")
            .await;
        let worker = shop.worker();
        shop.until(OPEN, "0").await;
        // It had nothing left to do, and is not started again.
        for statement in [
            "insert into descriptions (ean) values ('5901234123457')".to_owned(),
            "insert into descriptions (product_name) values ('Lamp')".to_owned(),
            format!(
                "insert into image_generations (model, image_url, prompt) \
                 values ('nanobanana', '{IMAGE}', 'on a table')"
            ),
            format!(
                "insert into image_generations (operation, image_url) values ('upscale', '{IMAGE}')"
            ),
            "insert into productions (topic) values ('Why people love lamps')".to_owned(),
        ] {
            assert_eq!(shop.sql(&statement).await, 1);
        }
        shop.until(OPEN, "0").await;
        let ended = worker.end("TERM");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(shop.remote_jobs().len(), 6);
        let texts = "select count(*) as n from descriptions where description is not null";
        assert_eq!(shop.text(texts).await, "3");
        let images = "select count(*) as n from deliverables where kind = 'image'";
        assert_eq!(shop.text(images).await, "2");
        shop.assert_a_good_caller();
    }
}

/// Names as SQL strings hold them.
fn names() -> [String; 12] {
    [
        "Lamp".to_owned(),
        "L''Oréal \"Paris\" – crème & brûlée".to_owned(),
        "Ящик для инструментов".to_owned(),
        "日本語の製品 🛒".to_owned(),
        "e\u{301} as two signs".to_owned(),
        "  two  blanks  ".to_owned(),
        "100% <b>bold</b> \\n {json: \"no\"}".to_owned(),
        "tab\there".to_owned(),
        "line\nbreak".to_owned(),
        "x".repeat(1_000),
        "ü".repeat(5_000),
        "'' or 1=1; --".to_owned(),
    ]
}

/// What people's tables look like: quotes, blanks, other scripts, odd barcodes, long names.
fn statements() -> Vec<String> {
    let mut all = Vec::new();
    let eans = [
        "4006381333931",  // EAN-13
        "96385074",       // EAN-8
        "036000291452",   // UPC-A
        "00012345600012", // GTIN-14
        "2012345678900",  // in-store prefix
        "8690000000001",  // wrong check digit
        "8690000000000",
        "123",             // wrong length
        " 4006381333931 ", // blanks around
        "40063-81333",
        "8,69E+12", // what a spreadsheet leaves
    ];
    for (number, ean) in eans.iter().enumerate() {
        all.push(format!(
            "insert into descriptions (ean, client_product_id, dedupe_key, batch) \
             values ('{ean}', 'p{number}', 'ean-{number:02}', 'mix')"
        ));
    }
    for (number, name) in names().iter().enumerate() {
        all.push(format!(
            "insert into descriptions (product_name, product_brand, dedupe_key, priority) \
             values ('{name}', '{}', 'name-{number:02}', {})",
            if number % 2 == 0 { "Ikéa" } else { "" },
            5 - i64::try_from(number).unwrap()
        ));
    }
    for (number, model) in ["nanobanana", "seedream", "nanobana", "nanobanana"]
        .iter()
        .enumerate()
    {
        all.push(format!(
            "insert into image_generations (model, image_url, prompt, dedupe_key) values \
             ('{model}', 'https://images.example/{number} ü.jpg?a=1&b=%20', 'a “{number}”', 'image-{number}')"
        ));
    }
    all.push(format!(
        "insert into image_generations (operation, image_url, dedupe_key) \
         values ('upscale', '{IMAGE}', 'upscale-0')"
    ));
    all.push(
        "insert into image_generations (operation, image_url, dedupe_key) \
         values ('upscale', 'ftp://images.example/a.jpg', 'upscale-1')"
            .to_owned(),
    );
    for (number, topic) in ["Why 🛒?", &"x".repeat(501), "Two\nlines"]
        .iter()
        .enumerate()
    {
        all.push(format!(
            "insert into productions (topic, metadata_md, dedupe_key) \
             values ('{topic}', '# Brand', 'film-{number}')"
        ));
    }
    all.push(
        "insert into descriptions (ean, account, dedupe_key) \
         values ('4006381333931', 'nobody', 'stranger')"
            .to_owned(),
    );
    all
}

/// Every column of the job tables but those that differ by nature: ids of rows, of submissions and of
/// remote jobs, and times; `version` counts the polls that brought news, which depends on time too.
fn comparable(mut row: Map<String, Value>) -> Map<String, Value> {
    let remote_id = row.remove("remote_id").unwrap_or_default();
    for apart in [
        "id",
        "submission_id",
        "version",
        "created_at",
        "submitted_at",
        "completed_at",
        "updated_at",
        "not_before",
        "run_at",
    ] {
        assert!(row.remove(apart).is_some(), "no column {apart}");
    }
    row.insert("has_remote_id".into(), json!(remote_id.is_string()));
    if let Some(id) = remote_id.as_str() {
        for name in ["description", "result_url"] {
            if let Some(text) = row.get(name).and_then(Value::as_str) {
                // The sandbox's texts and links name its id and its host, and a text opens with the
                // one of four phrases, up to its "the", that the id chooses.
                let text = text.replace(id, "ID");
                let text = text.split_once("the ").map_or(text.as_str(), |it| it.1);
                let text = text.split_once("/files/").map_or(text, |it| it.1);
                let text = Value::from(text);
                row.insert(name.to_owned(), text);
            }
        }
    }
    row
}

async fn tables(engine: Engine) -> Value {
    let shop = Shop::open(engine, options()).await;
    for statement in statements() {
        shop.sql(&statement).await;
    }
    let ended = shop.work();
    // Some are wrong, and one names an account that is not there.
    assert_eq!(ended.status.code(), Some(3), "{}", talk(&ended));
    shop.assert_a_good_caller();
    let mut tables = Map::new();
    for table in ["descriptions", "image_generations", "productions"] {
        let select = format!("select * from {table} order by dedupe_key");
        let rows = shop.rows(&select).await.into_iter();
        let rows = rows.map(|row| comparable(row.as_object().unwrap().clone()));
        tables.insert(table.to_owned(), rows.collect());
    }
    let files = "select kind, job_id, type, ordinal, content_type, quarantined \
        from deliverables order by kind, job_id, type, ordinal";
    let mut files = shop.rows(files).await;
    for file in &mut files {
        // A boolean is a number in SQLite.
        let quarantined = &mut file["quarantined"];
        *quarantined = json!(quarantined.as_bool().unwrap_or(*quarantined == json!(1)));
    }
    tables.insert("deliverables".to_owned(), files.into());
    tables.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_give_the_same_tables_on_both_databases() {
    let (sqlite, postgres) = (tables(Engine::Sqlite).await, tables(Engine::Postgres).await);
    let mut compared = 0;
    for (table, rows) in sqlite.as_object().unwrap() {
        let (rows, others) = (
            rows.as_array().unwrap(),
            postgres[table].as_array().unwrap(),
        );
        assert_eq!(rows.len(), others.len(), "{table}");
        for (row, other) in rows.iter().zip(others) {
            assert_eq!(row, other, "{table}");
            compared += 1;
        }
    }
    assert!(compared > statements().len());
    let not_made = sqlite["descriptions"].as_array().unwrap().iter();
    let not_made = not_made.filter(|row| row["status"] != "completed");
    let not_made: Vec<_> = not_made.map(|row| &row["dedupe_key"]).collect();
    // Digits lost, a name of 5,000 letters, and an account that is not there.
    assert_eq!(not_made, ["ean-10", "name-10", "stranger"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_conflicts_on_its_dedupe_key_submits_once() {
    let insert = "insert into descriptions (ean, dedupe_key) \
        values ('4006381333931', 'lamp') \
        on conflict (dedupe_key) where dedupe_key is not null do nothing";
    let short = "insert into descriptions (ean, dedupe_key) values ('4006381333931', 'lamp') \
        on conflict do nothing";
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        assert_eq!(shop.sql(insert).await, 1);
        assert_eq!(shop.sql(insert).await, 0);
        assert_eq!(shop.work().status.code(), Some(0));
        // Nor when the job is long done.
        assert_eq!(shop.sql(short).await, 0);
        assert_eq!(shop.work().status.code(), Some(0));
        assert_eq!(shop.submits().len(), 1);
        assert_eq!(shop.remote_jobs().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_cancelled_and_tried_again_by_sql() {
    for engine in BOTH {
        let mut options = options();
        options.productai.error_share = 1.0;
        let shop = Shop::open(engine, options).await;
        shop.sql(
            "insert into descriptions (ean, run_at) values ('4006381333931', '2100-01-01T00:00:00Z')",
        )
        .await;
        let worker = shop.worker();
        let status = "select status from descriptions";
        command(&shop, "description", "cancel").await;
        shop.until(status, "cancelled").await;
        command(&shop, "description", "retry").await;
        shop.until(status, "pending").await;
        shop.sql(
            "insert into job_commands (kind, job_id, command, value) \
             values ('description', 1, 'priority', '7')",
        )
        .await;
        shop.until("select priority from descriptions", "7").await;
        assert!(shop.submits().is_empty());
        shop.sql("update descriptions set run_at = null").await;
        shop.until(status, "completed").await;
        assert_eq!(shop.remote_jobs().len(), 1);
        // What was accepted and failed is sent again only because somebody says so.
        shop.sql(&format!(
            "insert into image_generations (model, image_url, prompt) \
             values ('nanobanana', '{IMAGE}', 'on a table')"
        ))
        .await;
        let failed =
            "select count(*) as n from job_events where kind = 'image' and to_status = 'failed'";
        shop.until(failed, "1").await;
        assert_eq!(shop.remote_jobs().len(), 2);
        command(&shop, "image", "retry").await;
        shop.until(failed, "2").await;
        assert_eq!(shop.remote_jobs().len(), 3);
        command(&shop, "image", "explode").await;
        let open = "select count(*) as n from job_commands where outcome is null";
        shop.until(open, "0").await;
        assert_eq!(worker.end("TERM").code, Some(0));
        shop.assert_a_good_caller();
    }
}

async fn command(shop: &Shop, kind: &str, command: &str) {
    shop.sql(&format!(
        "insert into job_commands (kind, job_id, command) values ('{kind}', 1, '{command}')"
    ))
    .await;
}
