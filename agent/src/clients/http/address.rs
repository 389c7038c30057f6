//! Judges where a connection may go: hosts as they are written, and every address that a name resolves to.
//!
//! A base URL is the operator's own word, but the name in it is answered by a server that may not be his. Whoever
//! controls that answer could point the agent, and the credentials that it adds, at the machine's own services, at the
//! private network or at the metadata service of a cloud. So the list of what may be reached is closed: addresses that
//! are routed on the internet, and what the operator opened with `allow_private`.
//!
//! An IPv6 address that carries an IPv4 address in it (mapped, translated, NAT64, 6to4, ISATAP) is judged as both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a target may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Addresses of the internet.
    Public,
    /// Those, the machine itself and private networks.
    Private,
}

/// A range of addresses that is not the internet. Later ones outweigh earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Range {
    /// The machine itself.
    Loopback,
    /// RFC 1918 and unique local IPv6 addresses.
    Private,
    /// Carrier-grade NAT.
    Shared,
    /// Set aside by the IETF, or used by nobody.
    Reserved,
    /// Made for examples in documents.
    Documentation,
    /// "This" host or network; a connection to 0.0.0.0 reaches the machine itself.
    Unspecified,
    /// One to many.
    Multicast,
    /// Everybody on the link.
    Broadcast,
    /// The link. Most metadata services live here.
    LinkLocal,
    /// A metadata service of a cloud, which gives credentials to whoever asks.
    Metadata,
}

impl Range {
    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "carrier-grade NAT",
            Self::Reserved => "reserved",
            Self::Documentation => "documentation",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
        }
    }

    /// True for what `allow_private` opens.
    pub const fn can_be_opened(self) -> bool {
        match self {
            Self::Loopback | Self::Private => true,
            Self::Shared
            | Self::Reserved
            | Self::Documentation
            | Self::Unspecified
            | Self::Multicast
            | Self::Broadcast
            | Self::LinkLocal
            | Self::Metadata => false,
        }
    }
}

/// An address that may not be connected to. The address itself is not part of the message, which a plugin may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} addresses are not allowed for this target", .0.as_str())]
pub struct Blocked(pub Range);

/// Judge one address.
pub fn judge(address: IpAddr, reach: Reach) -> Result<(), Blocked> {
    let range = match address {
        IpAddr::V4(v4) => range_of_v4(v4),
        IpAddr::V6(v6) => range_of_v6(v6),
    };
    match range {
        None => Ok(()),
        Some(range) if range.can_be_opened() && reach == Reach::Private => Ok(()),
        Some(range) => Err(Blocked(range)),
    }
}

/// Judge a host as the operator wrote it. `url` has read every spelling of an address (decimal, octal, hexadecimal,
/// shortened, full-width) as the address that it stands for, so that a name here is a name.
pub fn judge_host(host: &url::Host<&str>, reach: Reach) -> Result<(), Blocked> {
    match host {
        url::Host::Ipv4(v4) => judge(IpAddr::V4(*v4), reach),
        url::Host::Ipv6(v6) => judge(IpAddr::V6(*v6), reach),
        url::Host::Domain(name) => match range_of_name(name) {
            Some(range) if !(range.can_be_opened() && reach == Reach::Private) => Err(Blocked(range)),
            Some(_) | None => Ok(()),
        },
    }
}

/// Names whose meaning is fixed, whatever a resolver says today.
fn range_of_name(name: &str) -> Option<Range> {
    const METADATA: [&str; 5] =
        ["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if METADATA.contains(&name.as_str()) {
        return Some(Range::Metadata);
    }
    (name == "localhost" || name.ends_with(".localhost")).then_some(Range::Loopback)
}

/// The IANA registry of special IPv4 addresses, and the metadata services that live outside 169.254.0.0/16.
const V4: &[(Ipv4Addr, u32, Range)] = &[
    (Ipv4Addr::new(100, 100, 100, 200), 32, Range::Metadata),
    (Ipv4Addr::new(168, 63, 129, 16), 32, Range::Metadata),
    (Ipv4Addr::new(192, 0, 0, 192), 32, Range::Metadata),
    (Ipv4Addr::new(169, 254, 169, 254), 32, Range::Metadata),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Range::LinkLocal),
    (Ipv4Addr::new(0, 0, 0, 0), 8, Range::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Range::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Range::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Range::Loopback),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Range::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Range::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Range::Documentation),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Range::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Range::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Range::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Range::Documentation),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Range::Documentation),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Range::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Range::Broadcast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Range::Reserved),
];

/// What is special within and outside 2000::/3. The rest outside it is reserved.
const V6: &[(Ipv6Addr, u32, Range)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Range::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Range::Loopback),
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32, Range::Metadata),
    (Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0, 0), 32, Range::Metadata),
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0), 32, Range::Metadata),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Range::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Range::LinkLocal),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Range::Multicast),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32, Range::Documentation),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Range::Documentation),
    // Protocol assignments, Teredo among them: its embedded addresses are scrambled and nobody needs it.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Range::Reserved),
];

fn range_of_v4(address: Ipv4Addr) -> Option<Range> {
    let bits = address.to_bits();
    V4.iter()
        .find(|(network, length, _)| (bits ^ network.to_bits()).leading_zeros() >= *length)
        .map(|(_, _, range)| *range)
}

fn range_of_v6(address: Ipv6Addr) -> Option<Range> {
    let bits = address.to_bits();
    let listed = V6
        .iter()
        .find(|(network, length, _)| (bits ^ network.to_bits()).leading_zeros() >= *length)
        .map(|(_, _, range)| *range);
    let embedded = embedded_v4(address);
    let is_global_unicast = bits >> 125 == 1;
    if listed.is_none() && embedded.is_none() && !is_global_unicast {
        return Some(Range::Reserved);
    }
    listed.max(embedded.and_then(range_of_v4))
}

/// The IPv4 address that a router, a gateway or the socket itself would take out of this one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let join = |high: u16, low: u16| Some(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c, d, e, f) {
        // Mapped, and translated by RFC 2765.
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) => join(high, low),
        // NAT64 with the well-known prefix. The local one, 64:ff9b:1::/48, is reserved.
        (0x64, 0xff9b, 0, 0, 0, 0) => join(high, low),
        // 6to4.
        (0x2002, ..) => join(b, c),
        // ISATAP.
        (.., 0 | 0x0200, 0x5efe) => join(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of an address without and with `allow_private`.
    fn verdicts(address: &str) -> (Option<Range>, bool) {
        let address: IpAddr = address.parse().unwrap();
        let range = judge(address, Reach::Public).err().map(|blocked| blocked.0);
        (range, judge(address, Reach::Private).is_ok())
    }

    #[test]
    fn addresses_of_the_internet_are_open() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:200::1",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:0101:0101::1",
        ] {
            assert_eq!(verdicts(address), (None, true), "{address}");
        }
    }

    #[test]
    fn the_machine_and_private_networks_open_only_when_the_operator_says_so() {
        for (address, range) in [
            ("127.0.0.1", Range::Loopback),
            ("127.255.255.254", Range::Loopback),
            ("::1", Range::Loopback),
            ("::ffff:127.0.0.1", Range::Loopback),
            ("::ffff:0:127.0.0.1", Range::Loopback),
            ("64:ff9b::7f00:1", Range::Loopback),
            ("2002:7f00:1::", Range::Loopback),
            ("2a00::5efe:127.0.0.1", Range::Loopback),
            ("10.0.0.0", Range::Private),
            ("10.255.255.255", Range::Private),
            ("172.16.0.1", Range::Private),
            ("172.31.255.255", Range::Private),
            ("192.168.1.1", Range::Private),
            ("::ffff:10.1.2.3", Range::Private),
            ("2002:c0a8:0101::1", Range::Private),
            ("fc00::1", Range::Private),
            ("fdff:ffff::1", Range::Private),
        ] {
            assert_eq!(verdicts(address), (Some(range), true), "{address}");
        }
    }

    #[test]
    fn the_rest_stays_closed_whatever_the_operator_says() {
        for (address, range) in [
            ("169.254.169.254", Range::Metadata),
            ("169.254.170.2", Range::LinkLocal),
            ("169.254.0.0", Range::LinkLocal),
            ("100.100.100.200", Range::Metadata),
            ("168.63.129.16", Range::Metadata),
            ("192.0.0.192", Range::Metadata),
            ("::ffff:169.254.169.254", Range::Metadata),
            ("::ffff:a9fe:a9fe", Range::Metadata),
            ("::ffff:0:169.254.169.254", Range::Metadata),
            ("64:ff9b::a9fe:a9fe", Range::Metadata),
            ("2002:a9fe:a9fe::1", Range::Metadata),
            ("fc00::5efe:169.254.169.254", Range::Metadata),
            ("fc00::200:5efe:169.254.169.254", Range::Metadata),
            ("fd00:ec2::254", Range::Metadata),
            ("fd00:c1::a9fe:a9fe", Range::Metadata),
            ("fd20:ce::254", Range::Metadata),
            ("fe80::1", Range::LinkLocal),
            ("febf::1", Range::LinkLocal),
            ("100.64.0.1", Range::Shared),
            ("0.0.0.0", Range::Unspecified),
            ("0.1.2.3", Range::Unspecified),
            ("::", Range::Unspecified),
            ("::ffff:0.0.0.0", Range::Unspecified),
            ("224.0.0.1", Range::Multicast),
            ("239.255.255.255", Range::Multicast),
            ("ff02::1", Range::Multicast),
            ("255.255.255.255", Range::Broadcast),
            ("240.0.0.1", Range::Reserved),
            ("192.0.2.1", Range::Documentation),
            ("198.51.100.1", Range::Documentation),
            ("203.0.113.1", Range::Documentation),
            ("2001:db8::1", Range::Documentation),
            ("3fff::1", Range::Documentation),
            ("198.18.0.1", Range::Reserved),
            ("192.88.99.1", Range::Reserved),
            ("::127.0.0.1", Range::Reserved),
            ("64:ff9b:1::7f00:1", Range::Reserved),
            ("2001:0:4136:e378:8000:63bf:80ff:fffe", Range::Reserved),
            ("fec0::1", Range::Reserved),
            ("100::1", Range::Reserved),
            ("4000::1", Range::Reserved),
        ] {
            assert_eq!(verdicts(address), (Some(range), false), "{address}");
        }
    }

    #[test]
    fn hosts_are_judged_by_what_they_mean_not_by_how_they_are_spelled() {
        for (host, range) in [
            ("127.0.0.1", Range::Loopback),
            ("127.1", Range::Loopback),
            ("2130706433", Range::Loopback),
            ("0177.0.0.1", Range::Loopback),
            ("017700000001", Range::Loopback),
            ("0x7f.0.0.1", Range::Loopback),
            ("0x7f000001", Range::Loopback),
            ("0X7F.1", Range::Loopback),
            ("127.0.0.1.", Range::Loopback),
            ("%31%32%37.0.0.1", Range::Loopback),
            ("１２７.0.0.1", Range::Loopback),
            ("127。0。0。1", Range::Loopback),
            ("localhost", Range::Loopback),
            ("LOCALHOST", Range::Loopback),
            ("localhost.", Range::Loopback),
            ("a.localhost", Range::Loopback),
            ("lo%63alhost", Range::Loopback),
            ("ⓛocalhost", Range::Loopback),
            ("[::1]", Range::Loopback),
            ("[0:0:0:0:0:0:0:1]", Range::Loopback),
            ("[::ffff:7f00:1]", Range::Loopback),
            ("[::ffff:127.0.0.1]", Range::Loopback),
            ("0", Range::Unspecified),
            ("0x0", Range::Unspecified),
            ("2852039166", Range::Metadata),
            ("0xa9fea9fe", Range::Metadata),
            ("0251.0376.0251.0376", Range::Metadata),
            ("169.254.43518", Range::Metadata),
            ("metadata.google.internal", Range::Metadata),
            ("Metadata.Google.Internal.", Range::Metadata),
            ("[fd00:ec2::254]", Range::Metadata),
            ("[::ffff:169.254.169.254]", Range::Metadata),
            ("167772161", Range::Private),
            ("192.168.257", Range::Private),
        ] {
            let url = url::Url::parse(&format!("http://{host}/")).unwrap_or_else(|error| panic!("{host}: {error}"));
            assert_eq!(judge_host(&url.host().unwrap(), Reach::Public), Err(Blocked(range)), "{host}");
            let opened = judge_host(&url.host().unwrap(), Reach::Private).is_ok();
            assert_eq!(opened, range.can_be_opened(), "{host}");
        }
    }

    #[test]
    fn hosts_that_are_neither_a_name_nor_an_address_are_no_url() {
        for host in ["[fe80::1%25eth0]", "[fe80::1%eth0]", "1.2.3.4.5", "256.1.1.1", "0x100000000", "[::1", "a b", ""] {
            assert!(url::Url::parse(&format!("http://{host}/")).is_err(), "{host}");
        }
    }

    #[test]
    fn names_that_only_look_like_special_ones_are_left_to_the_resolver() {
        for name in ["localhost.example.com", "notlocalhost", "metadata.example.com", "example.com"] {
            assert_eq!(judge_host(&url::Host::Domain(name), Reach::Public), Ok(()), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn an_embedded_address_is_never_judged_milder_than_the_address_itself(bits: u32, form in 0..5_usize) {
            let v4 = Ipv4Addr::from_bits(bits);
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            let carriers = [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0x5efe, high, low),
            ];
            for reach in [Reach::Public, Reach::Private] {
                let plain = judge(IpAddr::V4(v4), reach);
                proptest::prop_assert_eq!(judge(IpAddr::V6(carriers[form]), reach), plain);
            }
        }
    }
}
