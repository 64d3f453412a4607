//! `vitrine sandbox`: serves the three simulated providers until it is stopped.

use sandbox::{FaultPlan, Options, SandboxServer};
use serde_json::json;
use tokio::net::TcpListener;

use super::init::{Place, accounts_toml};
use crate::cli::{Globals, SandboxArgs};
use crate::exit::{Code, Failure};
use crate::output::{print, print_json, say};
use crate::signals::Signals;

/// Serves.
pub(crate) async fn sandbox(globals: &Globals, args: &SandboxArgs) -> Result<Code, Failure> {
    let options = options(args);
    let keys = Keys::of(&options);
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::from(error)
            .while_doing(format!("cannot listen on {}", args.listen))
            .next("vitrine sandbox --listen 127.0.0.1:0 (takes a free port)")
    })?;
    let signals = Signals::listen()?;
    let server = SandboxServer::start_with_journal(options, listener, args.journal.as_deref())?;
    let base = server.base_url();
    if globals.wants_json() {
        print_json(&json!({
            "base_url": base,
            "jakov": { "base_url": format!("{base}/jakov"), "api_key": keys.jakov },
            "productai": { "base_url": format!("{base}/productai/v1"), "api_key": keys.productai },
            "jarai": { "base_url": format!("{base}/jarai/v1"), "api_key": keys.jarai },
            "seed": args.seed,
            "speed": args.speed,
            "faults": args.faults,
        }))?;
    } else {
        print(introduction(&base, &keys, args))?;
    }
    say("serving until Ctrl-C");
    signals.drain.cancelled().await;
    server.stop().await;
    // Whoever starts a server ends it like this: that is its regular end.
    Ok(Code::Done)
}

fn options(args: &SandboxArgs) -> Options {
    let base = if args.vary.unwrap_or_default() {
        Options::from_seed(args.seed)
    } else {
        Options::default()
    };
    let faults = if args.faults > 0.0 {
        FaultPlan::from_seed(args.seed, args.faults)
    } else {
        FaultPlan::none()
    };
    Options {
        seed: args.seed,
        speed: args.speed,
        faults,
        ..base
    }
}

/// The keys of a sandbox, which are no secrets.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) jakov: String,
    pub(super) productai: String,
    pub(super) jarai: String,
}

impl Keys {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            jakov: options.jakov.api_key.clone(),
            productai: options.productai.api_key.clone(),
            jarai: options.jarai.api_key.clone(),
        }
    }
}

fn introduction(base: &str, keys: &Keys, args: &SandboxArgs) -> String {
    let host = base.strip_prefix("http://").unwrap_or(base);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let place = Place {
        base_url: base,
        host,
        speed: args.speed,
        complete_at: "Published",
    };
    let names = ["JAKOV_API_KEY", "PRODUCTAI_API_KEY", "JARAI_API_KEY"];
    let snippet = accounts_toml(
        &place,
        &names.map(|name| format!("api_key_env = \"{name}\"")),
    );
    let Keys {
        jakov,
        productai,
        jarai,
    } = keys;
    format!(
        "# JAKOV.AI         {base}/jakov\n\
         # ProductAI.photo  {base}/productai/v1\n\
         # JARAI            {base}/jarai/v1\n\
         # its own book     {base}/_sandbox/ledger\n\n\
         export JAKOV_API_KEY={jakov}\n\
         export PRODUCTAI_API_KEY={productai}\n\
         export JARAI_API_KEY={jarai}\n\n\
         # This config is also written by: vitrine init --sandbox {base} --speed {}\n\
         {snippet}",
        args.speed
    )
}
