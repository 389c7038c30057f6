//! Names to addresses, judged between the resolver and the connection.
//!
//! The HTTP library asks [`JudgedNames`] and connects to what it answered, without asking again. An address that was
//! judged and the address that is connected to are therefore the same, however often a name changes its mind.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::{self, Blocked, Reach};
use crate::domain::TargetName;

/// Looks names up.
#[async_trait::async_trait]
pub trait Names: Send + Sync + 'static {
    /// The addresses of `host`, best first.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

#[async_trait::async_trait]
impl Names for SystemNames {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a name gave no address to connect to.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The resolver has no answer.
    #[error("the name does not resolve")]
    Unresolved(#[source] io::Error),
    /// The resolver answered with an empty list.
    #[error("the name has no address")]
    NoAddress,
    /// All addresses are in closed ranges.
    #[error(transparent)]
    Blocked(#[from] Blocked),
}

/// What became of a lookup.
#[derive(Debug)]
pub struct Judged {
    /// Where a connection may go; at least one address.
    pub open: Vec<IpAddr>,
    /// Ranges of the addresses that were left out.
    pub blocked: Vec<Blocked>,
}

/// The resolver of one target.
#[derive(Clone)]
pub struct JudgedNames {
    names: Arc<dyn Names>,
    reach: Reach,
    target: TargetName,
}

impl JudgedNames {
    /// Judge what `names` answers by `reach`.
    pub fn new(names: Arc<dyn Names>, reach: Reach, target: TargetName) -> Self {
        Self { names, reach, target }
    }

    /// Look `host` up and judge its addresses.
    pub async fn lookup(&self, host: &str) -> Result<Judged, LookupError> {
        let addresses = self.names.addresses(host).await.map_err(LookupError::Unresolved)?;
        let mut judged = Judged { open: Vec::new(), blocked: Vec::new() };
        for address in addresses {
            match address::judge(address, self.reach) {
                Ok(()) => judged.open.push(address),
                Err(blocked) => {
                    tracing::warn!(target.name = %self.target, %address, range = blocked.0.as_str(), "address left out");
                    judged.blocked.push(blocked);
                }
            }
        }
        match judged.blocked.first() {
            _ if !judged.open.is_empty() => Ok(judged),
            Some(blocked) => Err((*blocked).into()),
            None => Err(LookupError::NoAddress),
        }
    }
}

impl Resolve for JudgedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let judge = self.clone();
        Box::pin(async move {
            let judged = judge.lookup(name.as_str()).await?;
            // Port 0 stands for the port of the URL.
            let addresses: Addrs = Box::new(judged.open.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::address::Range;

    struct Answer(io::Result<Vec<&'static str>>);

    #[async_trait::async_trait]
    impl Names for Answer {
        async fn addresses(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            match &self.0 {
                Ok(addresses) => Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()),
                Err(error) => Err(error.kind().into()),
            }
        }
    }

    async fn lookup(answer: io::Result<Vec<&'static str>>) -> Result<Judged, LookupError> {
        let names = JudgedNames::new(Arc::new(Answer(answer)), Reach::Public, "api".parse().unwrap());
        names.lookup("api.example.com").await
    }

    #[tokio::test]
    async fn addresses_in_closed_ranges_are_left_out() {
        let judged = lookup(Ok(vec!["10.0.0.1", "1.1.1.1", "169.254.169.254"])).await.unwrap();
        assert_eq!(judged.open, ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(judged.blocked, [Blocked(Range::Private), Blocked(Range::Metadata)]);
    }

    #[tokio::test]
    async fn a_name_without_an_open_address_is_an_error_that_says_why() {
        let blocked = lookup(Ok(vec!["127.0.0.1"])).await.unwrap_err();
        assert_eq!(blocked.to_string(), "loopback addresses are not allowed for this target");
        assert!(matches!(lookup(Ok(vec![])).await, Err(LookupError::NoAddress)));
        let unresolved = lookup(Err(io::ErrorKind::NotFound.into())).await;
        assert!(matches!(unresolved, Err(LookupError::Unresolved(_))));
    }
}
