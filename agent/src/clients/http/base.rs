//! What a target is: an origin and a base path, and whether a URL lies within it.

use url::Url;

use super::InvalidSettings;
use super::address::{self, Reach};
use super::path::RequestPath;

/// The checked base URL of a target.
#[derive(Clone, Debug)]
pub struct Base {
    url: Url,
    /// Its path without a slash at the end; empty for the whole origin.
    prefix: String,
}

impl Base {
    /// Check what the operator wrote.
    pub fn new(url: Url, reach: Reach) -> Result<Self, InvalidSettings> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidSettings::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidSettings::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidSettings::Query);
        }
        address::judge_host(&url.host().ok_or(InvalidSettings::Scheme)?, reach)?;
        let path = RequestPath::parse(url.path())?;
        let mut url = url;
        url.set_path(path.path());
        let prefix = path.path().trim_end_matches('/').to_owned();
        Ok(Self { url, prefix })
    }

    /// The URL itself.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// True when requests are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The URL of `path`. `/` is the base as the operator wrote it, with or without a slash at its end.
    pub fn join(&self, path: &RequestPath) -> Url {
        let mut url = self.url.clone();
        if path.path() != "/" {
            url.set_path(&format!("{}{}", self.prefix, path.path()));
        }
        url.set_query(path.query());
        url
    }

    /// The path of `url` below the base; none when it leaves the target: another origin, a path outside the base, a user
    /// of its own, or a spelling that would not be sent for a plugin either.
    pub fn relative(&self, url: &Url) -> Option<RequestPath> {
        let is_ours = url.origin() == self.url.origin() && url.username().is_empty() && url.password().is_none();
        let below = url.path().strip_prefix(self.prefix.as_str())?;
        if !is_ours || !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let path = if below.is_empty() { "/" } else { below };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        RequestPath::parse(&format!("{path}{query}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> Result<Base, InvalidSettings> {
        Base::new(Url::parse(url).unwrap(), Reach::Public)
    }

    #[test]
    fn paths_are_joined_below_the_base() {
        for (base_url, path, url) in [
            ("https://a.example", "/", "https://a.example/"),
            ("https://a.example", "/health?x=1", "https://a.example/health?x=1"),
            ("https://a.example/api", "/", "https://a.example/api"),
            ("https://a.example/api/", "/", "https://a.example/api/"),
            ("https://a.example/api", "/?x", "https://a.example/api?x"),
            ("https://a.example/api/", "/health", "https://a.example/api/health"),
            ("https://a.example:8443/api", "/a/../b/", "https://a.example:8443/api/b/"),
            ("https://a.example/%61pi", "/b", "https://a.example/api/b"),
        ] {
            let path = RequestPath::parse(path).unwrap();
            assert_eq!(base(base_url).unwrap().join(&path).as_str(), url, "{base_url} {path}");
        }
    }

    #[test]
    fn only_urls_below_the_base_are_within_the_target() {
        let base = base("https://a.example/api").unwrap();
        for (url, path) in [
            ("https://a.example/api", Some("/")),
            ("https://a.example/api/", Some("/")),
            ("https://A.EXAMPLE:443/api/x?y=1#z", Some("/x?y=1")),
            ("https://a.example/api/%2e%2e/api/x", Some("/x")),
            ("https://a.example/apix", None),
            ("https://a.example/", None),
            ("https://a.example/api/../admin", None),
            ("https://a.example/api/%2e%2e/admin", None),
            ("https://a.example\\api\\..\\admin", None),
            ("https://a.example/api/..%2fadmin", None),
            ("https://a.example/api/..;/admin", None),
            ("https://a.example/api//x", None),
            ("http://a.example/api/x", None),
            ("https://a.example:8443/api/x", None),
            ("https://b.example/api/x", None),
            ("https://user@a.example/api/x", None),
            ("https://:secret@a.example/api/x", None),
            ("https://a.example@b.example/api/x", None),
            ("file:///api/x", None),
            ("data:text/plain,/api/x", None),
        ] {
            let relative = base.relative(&Url::parse(url).unwrap());
            assert_eq!(relative.map(|path| path.to_string()).as_deref(), path, "{url}");
        }
    }

    #[test]
    fn a_base_that_nobody_can_mean_is_refused() {
        for (url, message) in [
            ("ftp://a.example/", "base_url must begin with http:// or https://"),
            ("https://user@a.example/", "base_url must hold no user and password; put them into headers"),
            ("https://:hunter2@a.example/", "base_url must hold no user and password; put them into headers"),
            ("https://a.example/?x", "base_url must hold no query and no fragment"),
            ("https://a.example/#x", "base_url must hold no query and no fragment"),
            ("https://a.example//x", "base_url has a path that is never sent"),
            (
                "https://127.1/",
                "base_url names an address that is closed; allow_private opens loopback and private ones",
            ),
            (
                "https://metadata/",
                "base_url names an address that is closed; allow_private opens loopback and private ones",
            ),
        ] {
            assert_eq!(base(url).unwrap_err().to_string(), message, "{url}");
        }
    }
}
