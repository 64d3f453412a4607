//! Which addresses a download may reach: those of the public internet, in whichever spelling.
//!
//! The lists are those of the IANA special-purpose registries. IPv6 forms that carry an IPv4
//! address (mapped, compatible, NAT64, 6to4) are as good as the address that they carry; Teredo
//! hides it and is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet, so that nothing of ours can stand behind it.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

fn is_global_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback.
        (0 | 10 | 127, _, _) => true,
        // Carrier-grade NAT: 100.64.0.0/10.
        (100, 64..=127, _) => true,
        // Link-local, with the metadata services of the clouds.
        (169, 254, _) => true,
        // Private: 172.16.0.0/12 and 192.168.0.0/16.
        (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, AS112, the former 6to4 relays.
        (192, 0, 0 | 2) | (192, 31, 196) | (192, 52, 193) | (192, 88, 99) | (192, 175, 48) => true,
        // Benchmarks: 198.18.0.0/15; documentation.
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => true,
        // Multicast, reserved, broadcast.
        (224..=255, _, _) => true,
        _ => false,
    };
    // Azure's wire server answers on a public address, and only from inside.
    !special && address != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let carried = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        is_global_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        // ::/96 (unspecified, loopback, compatible) and ::ffff:0:0/96 (mapped).
        (0, 0) if (c, d, e) == (0, 0, 0) && f == 0xffff => carried(g, h),
        // NAT64 carries its address at the end: 64:ff9b::/96.
        (0x0064, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => carried(g, h),
        // 6to4: 2002:IPv4::/48.
        (0x2002, _) => carried(b, c),
        // Protocol assignments, Teredo among them: 2001::/23.
        (0x2001, 0..=0x01ff) => false,
        // Documentation.
        (0x2001, 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        // Direct delegation of AS112.
        (0x2620, 0x004f) if c == 0x8000 => false,
        // Only 2000::/3 is given out as global unicast: this leaves out unique local, link-local,
        // site-local, multicast, discard-only and all that is reserved.
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSIDE: [&str; 57] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "192.31.196.1",
        "192.52.193.1",
        "192.175.48.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::10.1.2.3",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:53aa:64c:0:0:f5ff:fffe",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2002:a9fe:a9fe::",
        "3fff::1",
        "2620:4f:8000::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];

    const OUTSIDE: [&str; 17] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2001:200::1",
    ];

    #[test]
    fn only_addresses_of_the_public_internet_are_global() {
        for inside in INSIDE {
            assert!(!is_global(inside.parse().unwrap()), "{inside}");
        }
        for outside in OUTSIDE {
            assert!(is_global(outside.parse().unwrap()), "{outside}");
        }
    }
}
