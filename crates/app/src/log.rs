//! Logs of the process, on stderr: readable lines, or one JSON object a line for collectors.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Warnings, unless `VITRINE_LOG` or `-v` ask for more.
pub(crate) fn install(verbose: u8) {
    let filter = std::env::var("VITRINE_LOG")
        .ok()
        .filter(|filter| !filter.trim().is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new(default_filter(verbose)));
    let wants_json = std::env::var("VITRINE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(crate::progress::Stderr)
        .with_target(verbose > 1);
    // Installed twice only by a test that runs in this process; the first one stays.
    let _ = if wants_json {
        lines.json().try_init()
    } else {
        lines.with_ansi(wants_colour()).try_init()
    };
}

/// On a terminal, unless somebody asks for none (no-color.org: any value but the empty one).
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::IsTerminal::is_terminal(&io::stderr()) && !refused
}

/// Libraries talk about bytes and pools: they stay at warnings until the third `-v`. What PostgreSQL
/// notes beside its answers (no transaction to roll back) is no trouble: troubles are errors.
fn default_filter(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn,sqlx::postgres::notice=error",
        1 => {
            "warn,sqlx::postgres::notice=error,vitrine=info,engine=info,store=info,providers=info,sandbox=info"
        }
        2 => {
            "warn,sqlx::postgres::notice=error,vitrine=debug,engine=debug,store=debug,providers=debug,sandbox=debug"
        }
        _ => "debug",
    }
}
