//! Which addresses may be reached. Names are looked up here, and the connection goes to the very
//! address that was looked at, so that no second lookup can answer otherwise.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::RootCertStore;
use rustls::crypto::ring;
use tokio::net::TcpStream;
use url::Host;

use crate::limits;

/// The address is not for the web.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "`{0}` is an address of a private network or of this machine, which the operator does not let be reached"
)]
pub(super) struct Private(String);

/// A client that goes to public addresses alone, unless private ones are allowed.
/// A connection that does not come to stand within a part of `timeout` is given up: that nothing was
/// sent is then certain.
pub(crate) fn client(
    private_addresses: bool,
    needs_tls: bool,
    timeout: Duration,
) -> Result<reqwest::Client, String> {
    // One provider serves the whole process; whoever came first installed the same one.
    let _ = ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .referer(false)
        .connect_timeout(timeout.mul_f32(limits::CONNECT_SHARE))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("remit/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Guard { private_addresses }));
    if !needs_tls {
        // Without https there is nothing to verify, and a machine may have no certificates at all.
        let none = rustls::ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        builder = builder.tls_backend_preconfigured(none);
    }
    builder.build().map_err(|error| {
        format!(
            "the certificates of this machine cannot be read ({error}): install ca-certificates"
        )
    })
}

/// Refuses an address that stands in a URL itself, which is never looked up.
pub(super) fn check_host(host: Option<Host<&str>>) -> Result<(), Private> {
    let ip = match host {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if is_public(ip) { Ok(()) } else { Err(Private(ip.to_string())) }
}

/// A connection to a host, at an address that may be reached.
pub(super) async fn reach(host: &str, port: u16, private_addresses: bool) -> io::Result<TcpStream> {
    // An IPv6 address stands in brackets in a URL.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((name, port)).await?;
    let mut last = io::Error::other(Private(host.to_owned()));
    for address in found.filter(|address| private_addresses || is_public(address.ip())) {
        match TcpStream::connect(address).await {
            Ok(reached) => return Ok(reached),
            Err(error) => last = error,
        }
    }
    Err(last)
}

struct Guard {
    private_addresses: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let private_addresses = self.private_addresses;
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let open: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| private_addresses || is_public(address.ip()))
                .collect();
            if open.is_empty() {
                return Err(Private(name).into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether an address is one of the public internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || matches!(
            (a, b, c),
            (0 | 240..=255, _, _)
                | (100, 64..=127, _)
                | (192, 0, 0)
                | (192, 88, 99)
                | (198, 18 | 19, _)
        );
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Forms with an address of IPv4 inside: mapped, compatible, translated, 6to4.
        (0, 0) if (c, d, e) == (0, 0, 0) && matches!(f, 0 | 0xffff) => v4(g, h),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => v4(g, h),
        (0x2002, _) => v4(b, c),
        // Tunnels, and documentation.
        (0x2001, 0 | 0xdb8) => false,
        // All that is handed out on the public internet begins so.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_told_from_all_others() {
        for ip in
            ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
        {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2001::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
