//! Which links may be followed at all: by scheme, host, port and what stands before the host, before any
//! name is looked up and any connection is made. Names that pass are checked once more by what they
//! resolve to (`resolver`).

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_global;

/// What a link is followed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To bring a deliverable home: https only.
    Capture,
    /// To look at an image that the provider will read by itself, over plain http too.
    Look,
}

/// Over which connections it may be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    /// To addresses of the public internet.
    Public,
    /// Wherever the host is: the config vouches for it.
    Trusted,
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Closed {
    #[error("the link holds a user name")]
    User,
    #[error("the link has no host")]
    NoHost,
    #[error("the link is not https")]
    Scheme,
    #[error(
        "port {0} is not one of the web; name host and port in trusted_hosts if it is to be used"
    )]
    Port(u16),
    /// The address, or a name that can only mean one, is not of the public internet.
    #[error("the host has an address that is not of the public internet")]
    Inside,
}

/// Names under these are never of the public internet (RFC 6761, RFC 6762, RFC 8375, ICANN's reserved
/// `internal`, and what routers and companies use by custom).
const INSIDE: [&str; 10] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "private",
    "home.arpa",
];

/// Over which connections `url` may be followed. `trusted`: hosts (`host` or `host:port`) of the config.
pub(super) fn pass(url: &Url, trusted: &[String], purpose: Purpose) -> Result<Road, Closed> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Closed::User);
    }
    let host = url.host().ok_or(Closed::NoHost)?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(Closed::Scheme),
    };
    if trusts(url, trusted) {
        return Ok(Road::Trusted);
    }
    // Addresses never reach a resolver, so they are checked here.
    let address: Option<IpAddr> = match host {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(name) if is_inside(name) => return Err(Closed::Inside),
        Host::Domain(_) => None,
    };
    if address.is_some_and(|address| !is_global(address)) {
        return Err(Closed::Inside);
    }
    match (plain, url.port_or_known_default(), purpose) {
        (true, _, Purpose::Capture) => Err(Closed::Scheme),
        // The usual ports of web servers: nothing else of the internet is spoken to.
        (false, Some(443 | 8443), _) | (true, Some(80 | 8080), Purpose::Look) => Ok(Road::Public),
        (_, port, _) => Err(Closed::Port(port.unwrap_or_default())),
    }
}

/// A name without a dot is one of the local network; a dot at the end changes nothing.
fn is_inside(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let under = |zone: &&str| {
        let before = name.strip_suffix(*zone);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    !name.contains('.') || INSIDE.iter().any(under)
}

fn trusts(url: &Url, trusted: &[String]) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    trusted.iter().any(|trusted| {
        let trusted = trusted.trim().to_ascii_lowercase();
        trusted == host || trusted == bare || trusted == format!("{host}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(link: &str, purpose: Purpose, expect: Result<Road, Closed>) {
        let trusted = ["files.shop.lan:8000".to_owned(), "10.0.0.7".to_owned()];
        let url = Url::parse(link).unwrap();
        assert_eq!(pass(&url, &trusted, purpose), expect, "{link}");
    }

    #[test]
    fn a_capture_is_https_on_a_port_of_the_web() {
        use Purpose::Capture;
        check("https://cdn.example/x", Capture, Ok(Road::Public));
        check("https://cdn.example:8443/x", Capture, Ok(Road::Public));
        check("https://8.8.8.8/x", Capture, Ok(Road::Public));
        check("http://cdn.example/x", Capture, Err(Closed::Scheme));
        check("ftp://cdn.example/x", Capture, Err(Closed::Scheme));
        for port in [1, 22, 25, 80, 6379, 11211] {
            let link = format!("https://cdn.example:{port}/x");
            check(&link, Capture, Err(Closed::Port(port)));
        }
    }

    #[test]
    fn a_look_may_be_plain_http_and_leads_inside_no_more_than_a_capture() {
        use Purpose::Look;
        check("http://shop.example/x.jpg", Look, Ok(Road::Public));
        check("http://shop.example:8080/x.jpg", Look, Ok(Road::Public));
        check("http://shop.example:25/x.jpg", Look, Err(Closed::Port(25)));
        check("http://192.168.0.4/x.jpg", Look, Err(Closed::Inside));
        check("http://nas.local/x.jpg", Look, Err(Closed::Inside));
    }

    #[test]
    fn names_of_the_local_network_are_inside_before_they_are_looked_up() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "intranet",
            "printer.local",
            "metadata.google.internal",
            "router.home.arpa",
            "db.corp",
        ] {
            check(
                &format!("https://{host}/x"),
                Purpose::Capture,
                Err(Closed::Inside),
            );
        }
        for host in [
            "notlocalhost.example",
            "local.example",
            "xhome.arpa.example",
        ] {
            check(
                &format!("https://{host}/x"),
                Purpose::Capture,
                Ok(Road::Public),
            );
        }
    }

    #[test]
    fn what_the_config_vouches_for_may_be_private_and_plain() {
        use Purpose::Capture;
        check("http://files.shop.lan:8000/x", Capture, Ok(Road::Trusted));
        check(
            "https://files.shop.lan:8001/x",
            Capture,
            Err(Closed::Inside),
        );
        check("http://10.0.0.7:1/x", Capture, Ok(Road::Trusted));
        check("http://u@10.0.0.7/x", Capture, Err(Closed::User));
    }
}
