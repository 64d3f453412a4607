//! What a worker refuses to start on, and what it says.

use store::testing::OwnServer;

use super::at_work;
use super::proxy::{Pooler, Proxy};
use crate::shop::{Shop, talk};

async fn shop_on(url: String) -> Shop {
    let shop = Shop::on(url, at_work()).await;
    let made = shop.output(&["migrate"]);
    assert_eq!(made.status.code(), Some(0), "{}", talk(&made));
    shop
}

fn refused(shop: &Shop, words: &[&str]) {
    let output = shop.work();
    assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
    for word in words {
        assert!(
            talk(&output).contains(word),
            "{word:?} is missing: {}",
            talk(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_sync_is_refused_by_the_name_of_the_setting() {
    let database = store::testing::postgres().await;
    let shop = shop_on(database.url.clone()).await;
    refused(
        &shop,
        &["fsync is off", "full_page_writes is off", "postgresql.conf"],
    );
    assert_eq!(shop.output(&["doctor"]).status.code(), Some(1));
    // Reading is allowed.
    assert_eq!(shop.output(&["status"]).status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_is_named() {
    let server = OwnServer::start(&[]).await;
    let mut shop = shop_on(server.url.clone()).await;
    let pooler = Pooler::start(server.socket()).await;
    shop.database = pooler.url("shop");
    refused(&shop, &["PgBouncer", "database.url"]);
    // The same way without a pooler in it is fine.
    let proxy = Proxy::start(server.socket()).await;
    shop.database = proxy.url("shop");
    let output = shop.output(&["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_named_with_its_address_and_the_cause() {
    let mut server = OwnServer::start(&[]).await;
    let mut shop = shop_on(server.url.clone()).await;
    let proxy = Proxy::start(server.socket()).await;
    server.stop().unwrap();
    let address = proxy.address();
    shop.database = proxy.url("shop");
    drop(proxy);
    refused(
        &shop,
        &[
            "postgres://postgres@127.0.0.1",
            &address,
            "/shop",
            "refused",
        ],
    );
    assert!(
        !talk(&shop.work()).contains("pool"),
        "{}",
        talk(&shop.work())
    );
}
