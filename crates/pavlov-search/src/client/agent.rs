//! What carries requests: root certificates, proxies and time limits of the HTTP agent.
//!
//! A certificate is trusted when the system trusts it (`SSL_CERT_FILE` and `SSL_CERT_DIR` name other stores); where
//! there is no store, as in bare containers, Mozilla's roots stand in. Proxies are those of `HTTPS_PROXY` and
//! `HTTP_PROXY`, by the scheme of the base URL, else `ALL_PROXY`, each in capitals or not; `NO_PROXY` lists hosts,
//! domains and networks that are asked without one. A proxy is asked to CONNECT, for `http` too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy, ProxyProtocol};

/// An agent for requests to one base URL. `timeout` is how long each of resolving, connecting, sending and waiting for
/// the answer's head may take, and how long a read of the streamed answer may.
pub fn agent(base: &Uri, timeout: Duration) -> Agent {
    let limit = Some(timeout);
    let mut config = Agent::config_builder()
        .user_agent(concat!("pavlov/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(proxy(base, |name| std::env::var(name).ok()))
        .timeout_resolve(limit)
        .timeout_connect(limit)
        .timeout_send_request(limit)
        .timeout_send_body(limit)
        .timeout_recv_response(limit)
        .timeout_per_read(limit);
    if base.scheme_str() == Some("https") {
        config = config.tls_config(TlsConfig::builder().root_certs(roots()).build());
    }
    config.build().into()
}

/// The system's root certificates, or Mozilla's where the system has none.
fn roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        return RootCerts::WebPki;
    }
    let certificates = found.iter().map(|der| Certificate::from_der(der).to_owned());
    RootCerts::Specific(Arc::new(certificates.collect()))
}

/// The proxy that these variables name for a base URL.
fn proxy(base: &Uri, variable: impl Fn(&str) -> Option<String>) -> Option<Proxy> {
    let either = |name: &str| {
        let value = variable(name).or_else(|| variable(&name.to_lowercase()));
        value.filter(|v| !v.trim().is_empty())
    };
    let host = base.host()?;
    if either("NO_PROXY").is_some_and(|list| is_listed(host, &list)) {
        return None;
    }
    let by_scheme = match base.scheme_str() {
        Some("https") => either("HTTPS_PROXY"),
        // A server that runs programs by CGI sets HTTP_PROXY from a header of whoever asks it.
        _ if variable("REQUEST_METHOD").is_some() => variable("http_proxy"),
        _ => either("HTTP_PROXY"),
    };
    let proxy = Proxy::new(by_scheme.or_else(|| either("ALL_PROXY"))?.trim()).ok()?;
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https).then_some(proxy)
}

/// Is a host in a list as `NO_PROXY` has it: `*`, `host`, `.domain`, `*.domain`, `10.0.0.0/8`? A host stands for its
/// subdomains too.
fn is_listed(host: &str, list: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(|entry| entry.trim().to_lowercase()).filter(|entry| !entry.is_empty()).any(|entry| {
        if let (Some(address), Some((network, length))) = (address, entry.split_once('/')) {
            return network.parse().is_ok_and(|n| length.parse().is_ok_and(|bits| is_in(address, n, bits)));
        }
        let domain = entry.trim_start_matches('*').trim_start_matches('.');
        domain.is_empty() || host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// Is an address in a network of so many leading bits?
fn is_in(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let (difference, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits() ^ n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits() ^ n.to_bits(), 128),
        _ => return false,
    };
    bits <= width && difference.checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(base: &str, variables: &[(&str, &str)]) -> Option<String> {
        let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_string());
        proxy(&base.parse().unwrap(), value).map(|p| p.host().to_string())
    }

    #[test]
    fn the_proxy_goes_by_the_scheme_of_the_base() {
        let both = [("HTTPS_PROXY", "http://secure:3128"), ("http_proxy", "plain:80"), ("ALL_PROXY", "http://all:1")];
        assert_eq!(chosen("https://api.example/v1", &both).as_deref(), Some("secure"));
        assert_eq!(chosen("http://127.0.0.1:8080/v1", &both).as_deref(), Some("plain"));
        assert_eq!(chosen("http://127.0.0.1:8080/v1", &both[..1]), None);
        assert_eq!(chosen("http://127.0.0.1:8080/v1", &both[2..]).as_deref(), Some("all"));
        assert_eq!(chosen("https://api.example/v1", &[("ALL_PROXY", "socks5://s:1080")]), None);
        let cgi = [("HTTP_PROXY", "http://from-a-header:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(chosen("http://host/v1", &cgi), None);
    }

    #[test]
    fn hosts_domains_and_networks_are_asked_without_a_proxy() {
        let list = "localhost, .inside.example,*.lab,10.0.0.0/8,fd00::/8,192.168.1.7";
        let listed =
            ["localhost", "a.inside.example", "inside.example", "GPU.lab", "10.200.1.2", "[fd00::1]", "192.168.1.7"];
        for host in listed {
            assert!(is_listed(host, list), "{host}");
        }
        for host in ["example", "notinside.example", "11.0.0.1", "[fe80::1]", "192.168.1.70", "lab.example"] {
            assert!(!is_listed(host, list), "{host}");
        }
        assert!(is_listed("anything", "*") && is_listed("1.2.3.4", "0.0.0.0/0") && !is_listed("1.2.3.4", "0.0.0.0/33"));
        let variables = [("HTTPS_PROXY", "http://secure:3128"), ("no_proxy", "example")];
        assert_eq!(chosen("https://api.example/v1", &variables), None);
    }
}
