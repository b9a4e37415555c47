//! Links: a code together with the relay that it belongs to.
//!
//! `qshare://HOST:PORT/CODE?alt=HOST:PORT#PIN`. `alt` may repeat.

use super::{
    pin::Pin,
    relay_addr::{DEFAULT_PORT, RelayAddr},
    revealed::Revealed,
    share_code::Code,
};
use crate::error::{Error, Kind, Result};

const SCHEME: &str = "qshare://";

/// The longest link, in bytes. A longer one is rejected before it is parsed.
const MAX_LINK: usize = 2_000;

/// The most alternative addresses. The receiver sends packets to each of them, so a link must not name many victims.
const MAX_ALTERNATIVES: usize = 7;

/// A code, the relay's addresses, and the relay's pin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The relay's address; the first one to try.
    pub relay: RelayAddr,
    /// Other addresses of the same relay. Empty without a pin: only a pin proves that they lead to the same relay.
    pub alternatives: Vec<RelayAddr>,
    /// The code.
    pub code: Code,
    /// The pin of the relay's key.
    pub pin: Option<Pin>,
}

impl Link {
    /// Whether `text` begins as a link does, so that it is a link and not a code.
    pub fn has_scheme(text: &str) -> bool {
        let text = text.trim_start();
        text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    }

    /// Parses a link. Unknown parameters are ignored.
    ///
    /// # Errors
    /// [`Kind::Usage`], with a message that names the invalid part. A code with a typo has its own message.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let invalid = |why: &str| {
            Error::new(Kind::Usage, format!("invalid link: {why}"))
                .hint("paste the whole link, in quotes: 'qshare://HOST:PORT/XKY9-7HQ2ME#PIN'")
        };
        if text.len() > MAX_LINK {
            return Err(invalid("it is too long"));
        }
        if !Self::has_scheme(text) {
            return Err(invalid("it does not begin with qshare://"));
        }
        let (rest, pin) = match text[SCHEME.len()..].split_once('#') {
            Some((rest, pin)) => (rest, Some(pin.parse()?)),
            None => (&text[SCHEME.len()..], None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (relay, code) = rest.split_once('/').ok_or_else(|| invalid("it has no code"))?;
        let alternatives = query
            .split('&')
            .filter_map(|parameter| parameter.strip_prefix("alt="))
            .map(str::parse)
            .collect::<Result<Vec<RelayAddr>>>()?;
        if alternatives.len() > MAX_ALTERNATIVES {
            return Err(invalid("it has too many addresses"));
        }
        if pin.is_none() && !alternatives.is_empty() {
            return Err(invalid("it has several addresses and no pin"));
        }
        Ok(Self { relay: relay.parse()?, alternatives, code: Code::parse(code.trim_end_matches('/'))?, pin })
    }

    /// Returns a shorter link for a QR code, with the same meaning to [`Link::parse`]: without the alternative
    /// addresses, a default port and the hyphens of the code.
    pub fn reveal_short(&self) -> Revealed {
        let relay = self.relay.to_string();
        let relay = relay.strip_suffix(&format!(":{DEFAULT_PORT}")).unwrap_or(&relay);
        let code = self.code.reveal().as_str().replace('-', "");
        let pin = self.pin.as_ref().map(|pin| format!("#{pin}")).unwrap_or_default();
        Revealed(format!("{SCHEME}{relay}/{code}{pin}"))
    }

    /// Returns the link as text.
    pub fn reveal(&self) -> Revealed {
        let mut text = format!("{SCHEME}{}/{}", self.relay, self.code.reveal());
        for (i, alt) in self.alternatives.iter().enumerate() {
            text.push(if i == 0 { '?' } else { '&' });
            text.push_str(&format!("alt={alt}"));
        }
        if let Some(pin) = &self.pin {
            text.push_str(&format!("#{pin}"));
        }
        Revealed(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_full_link_parses_and_reveals_the_same_text() {
        let text = format!("qshare://[fe80::1]:4433/XKY9-7HQ2ME?alt=192.0.2.7:4433&alt=relay.example:99#{PIN}");
        let link = Link::parse(&text).unwrap();
        assert_eq!(link.relay, RelayAddr { host: "fe80::1".into(), port: 4433 });
        assert_eq!(link.alternatives.len(), 2);
        assert_eq!(link.pin.unwrap().to_string(), PIN);
        assert_eq!(link.reveal().as_str(), text);
    }

    #[test]
    fn a_short_link_has_the_same_meaning_without_its_alternatives() {
        for (relay, short) in [
            ("relay.example:4433", "relay.example"),
            ("192.0.2.7:14433", "192.0.2.7:14433"),
            ("[fe80::1]:4433", "[fe80::1]"),
        ] {
            let link = Link::parse(&format!("qshare://{relay}/XKY9-7HQ2ME?alt=a:1#{PIN}")).unwrap();
            let text = link.reveal_short();
            assert_eq!(text.as_str(), format!("qshare://{short}/XKY97HQ2ME#{PIN}"));
            assert_eq!(Link::parse(text.as_str()).unwrap(), Link { alternatives: Vec::new(), ..link });
        }
    }

    #[test]
    fn unknown_parameters_are_ignored_and_errors_name_the_invalid_part() {
        let link = Link::parse(&format!("QSHARE://relay.example/xky97hq2me?v=9&alt=a:1&z#{PIN}")).unwrap();
        assert_eq!(link.relay.port, DEFAULT_PORT);
        assert_eq!(link.alternatives, ["a:1".parse().unwrap()]);
        for (bad, word) in [
            ("qshare://relay.example", "no code"),
            ("http://relay.example/XKY9-7HQ2ME", "begin"),
            ("qshare://relay.example/XKY9-7HQ2MF", "typo"),
            ("qshare://relay.example/XKY9-7HQ2ME#abc", "pin"),
            ("qshare://relay.example:0/XKY9-7HQ2ME", "address"),
            ("qshare:///XKY9-7HQ2ME", "address"),
            ("qshare://relay.example/XKY9-7HQ2ME?alt=a:1", "no pin"),
            (&format!("qshare://relay.example/XKY9-7HQ2ME?{}#{PIN}", "alt=a:1&".repeat(8)), "too many"),
        ] {
            let e = Link::parse(bad).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage);
            assert!(e.message().contains(word), "{bad}: {e}");
        }
    }

    proptest! {
        #[test]
        fn parsing_arbitrary_text_never_panics(text in "(qshare://)?\\PC{0,80}") {
            let _ = Link::parse(&text);
        }
    }
}
