//! What a page loads besides itself: stylesheets, scripts, images and fonts.
//!
//! The border: nothing is fetched here. What only a script would ask for is not seen, nor what a link merely points to.
//! The surprise: `<base>` moves all addresses of a page but not those within its stylesheets, and a `<noscript>` or
//! `<template>` holds what no browser loads.

use std::collections::BTreeMap;
use std::fmt;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};
use url::Url;

use super::css;

/// Types of `<script>` that browsers run; others are data.
const SCRIPT_TYPES: [&str; 7] = [
    "",
    "module",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "text/ecmascript",
    "application/ecmascript",
];
/// What `<link rel=…>` loads by itself.
const LINKS: [&str; 7] =
    ["stylesheet", "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "preload", "modulepreload"];
/// What `<link rel="preload" as=…>` may load to be an asset; media are none.
const PRELOADED: [&str; 5] = ["", "font", "image", "script", "style"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Stylesheet,
    Script,
    Image,
    /// Told by its name; within a stylesheet an image may be of this kind as well.
    Font,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Stylesheet => "stylesheet",
            Kind::Script => "script",
            Kind::Image => "image",
            Kind::Font => "font",
        })
    }
}

/// One thing that a page loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub kind: Kind,
    /// Without its fragment.
    pub url: Url,
}

/// Why an address is no asset that loads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("loads the {kind} {url} over plain HTTP, which browsers refuse on a page with https")]
    Insecure { kind: Kind, url: Url },
    #[error("names a {kind} at {address:?}, which is no address: {cause}")]
    NoAddress { kind: Kind, address: String, cause: String },
}

/// What a text loads, each URL once, in the order of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loads {
    pub assets: Vec<Asset>,
    pub unfit: Vec<Unfit>,
}

/// What a page at `page` loads.
pub fn of_page(page: &Url, html: &str) -> Loads {
    let mut reader = Reader { page, base: None, loads: Loads::default(), unseen: 0, in_style: false };
    let mut emitter = DefaultEmitter::default();
    // Otherwise what stands in a script or a style would be taken for tags.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        reader.take(token);
    }
    reader.loads
}

/// What a stylesheet at `url` loads. `page_is_https` says whether plain HTTP is refused.
pub fn of_stylesheet(url: &Url, css: &str, page_is_https: bool) -> Loads {
    let mut loads = Loads::default();
    loads.add_css(url, css, page_is_https);
    loads
}

impl Loads {
    fn add_css(&mut self, base: &Url, css: &str, page_is_https: bool) {
        for reference in css::references(css) {
            let kind = match reference.import {
                true => Kind::Stylesheet,
                false => kind_within_css(&reference.address),
            };
            self.add(base, kind, &reference.address, page_is_https);
        }
    }

    fn add(&mut self, base: &Url, kind: Kind, address: &str, page_is_https: bool) {
        let address = address.trim_ascii();
        if address.is_empty() || address.starts_with('#') {
            return;
        }
        let unfit = match base.join(address) {
            Err(cause) => Unfit::NoAddress { kind, address: address.to_owned(), cause: cause.to_string() },
            Ok(mut url) => {
                url.set_fragment(None);
                match url.scheme() {
                    "https" => return self.add_asset(Asset { kind, url }),
                    "http" if !page_is_https => return self.add_asset(Asset { kind, url }),
                    "http" => Unfit::Insecure { kind, url },
                    // `data:`, `blob:`, `about:`, `javascript:`: nothing is asked for over a network.
                    _ => return,
                }
            }
        };
        if !self.unfit.contains(&unfit) {
            self.unfit.push(unfit);
        }
    }

    fn add_asset(&mut self, asset: Asset) {
        if self.assets.iter().all(|known| known.url != asset.url) {
            self.assets.push(asset);
        }
    }
}

fn kind_within_css(address: &str) -> Kind {
    let path = address.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    match [".woff2", ".woff", ".ttf", ".otf", ".eot"].iter().any(|end| path.ends_with(end)) {
        true => Kind::Font,
        false => Kind::Image,
    }
}

struct Reader<'p> {
    page: &'p Url,
    base: Option<Url>,
    loads: Loads,
    /// How deep within elements whose content is not loaded.
    unseen: usize,
    in_style: bool,
}

impl Reader<'_> {
    fn take(&mut self, token: Token) {
        match token {
            Token::StartTag(tag) => self.open(&tag),
            Token::EndTag(tag) => self.close(&tag.name),
            Token::String(text) if self.in_style && self.unseen == 0 => {
                self.add_css(&String::from_utf8_lossy(&text));
            }
            _ => {}
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        let name = text(&tag.name);
        if is_unseen(&name) {
            self.unseen += 1;
        }
        self.in_style = name == "style";
        if self.unseen > 0 {
            return;
        }
        let attributes: BTreeMap<String, String> =
            tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
        let get = |name: &str| attributes.get(name).map_or("", String::as_str);
        match name.as_str() {
            "base" => self.set_base(get("href")),
            "link" => self.link(&get),
            "script" if SCRIPT_TYPES.contains(&get("type").trim().to_ascii_lowercase().as_str()) => {
                self.add(Kind::Script, get("src"));
            }
            "img" | "source" => {
                self.add_all(Kind::Image, get("srcset"));
                // The source of a film or a sound is none.
                self.add(Kind::Image, if name == "img" { get("src") } else { "" });
            }
            "input" if get("type").eq_ignore_ascii_case("image") => self.add(Kind::Image, get("src")),
            "video" => self.add(Kind::Image, get("poster")),
            "image" | "use" | "feimage" => {
                self.add(Kind::Image, get("href"));
                self.add(Kind::Image, get("xlink:href"));
            }
            _ => {}
        }
        self.add_css(get("style"));
    }

    fn close(&mut self, name: &HtmlString) {
        let name = text(name);
        if is_unseen(&name) {
            self.unseen = self.unseen.saturating_sub(1);
        }
        self.in_style = false;
    }

    /// The first one counts; one that is no URL is as good as none, as for a browser.
    fn set_base(&mut self, href: &str) {
        if self.base.is_none() && !href.is_empty() {
            self.base = self.page.join(href.trim_ascii()).ok();
        }
    }

    fn link<'a>(&mut self, get: &impl Fn(&str) -> &'a str) {
        let relations = get("rel").to_ascii_lowercase();
        let relations: Vec<&str> = relations.split_ascii_whitespace().collect();
        let wanted = get("as").to_ascii_lowercase();
        if !relations.iter().any(|relation| LINKS.contains(relation)) {
            return;
        }
        let kind = match () {
            () if relations.contains(&"stylesheet") || wanted == "style" => Kind::Stylesheet,
            () if relations.contains(&"modulepreload") || wanted == "script" => Kind::Script,
            () if wanted == "font" => Kind::Font,
            () => Kind::Image,
        };
        if relations.contains(&"preload") && !PRELOADED.contains(&wanted.as_str()) {
            return;
        }
        self.add(kind, get("href"));
        self.add_all(Kind::Image, get("imagesrcset"));
    }

    fn add_css(&mut self, css: &str) {
        let base = self.base.as_ref().unwrap_or(self.page);
        self.loads.add_css(base, css, self.page.scheme() == "https");
    }

    fn add(&mut self, kind: Kind, address: &str) {
        let base = self.base.as_ref().unwrap_or(self.page);
        self.loads.add(base, kind, address, self.page.scheme() == "https");
    }

    /// The candidates of a `srcset`.
    fn add_all(&mut self, kind: Kind, set: &str) {
        for address in candidates(set) {
            self.add(kind, address);
        }
    }
}

/// Addresses of a `srcset` (HTML, 4.8.4.2.1): a comma ends a candidate only behind its address or descriptor, so an
/// address may have commas within.
fn candidates(set: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = set;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return found;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (address, after) = rest.split_at(end);
        let bare = address.trim_end_matches(',');
        found.push(bare);
        rest = match bare.len() < address.len() {
            true => after,
            false => after.split_once(',').map_or("", |(_, next)| next),
        };
    }
}

fn is_unseen(name: &str) -> bool {
    matches!(name, "noscript" | "template")
}

fn text(bytes: &HtmlString) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page() -> Url {
        "https://wiki.example.org/a/page?q=1".parse().unwrap()
    }

    fn urls(html: &str) -> Vec<String> {
        let loads = of_page(&page(), html);
        assert_eq!(loads.unfit, [], "{html}");
        loads.assets.iter().map(|asset| format!("{} {}", asset.kind, asset.url)).collect()
    }

    #[test]
    fn everything_that_a_browser_loads_with_a_page_is_found() {
        const ROOT: &str = "https://wiki.example.org";
        let rows: &[(&str, &[&str])] = &[
            ("<link rel=stylesheet href=/s.css>", &["stylesheet ROOT/s.css"]),
            ("<LINK REL='alternate StyleSheet' HREF='s.css'>", &["stylesheet ROOT/a/s.css"]),
            ("<link rel='shortcut icon' href='//cdn.example.net/i.ico'>", &["image https://cdn.example.net/i.ico"]),
            ("<link rel=preload as=font href=f.woff2 crossorigin>", &["font ROOT/a/f.woff2"]),
            ("<link rel=preload as=video href=f.mp4>", &[]),
            ("<link rel=canonical href=/page><link rel=next href=/2><link rel=preconnect href=//x.net>", &[]),
            ("<link rel=modulepreload href=m.js>", &["script ROOT/a/m.js"]),
            ("<script src='../x.js?v=1&amp;w=2#frag'></script>", &["script ROOT/x.js?v=1&w=2"]),
            ("<script type=module src=m.js></script>", &["script ROOT/a/m.js"]),
            ("<script type=text/template src=t.html></script>", &[]),
            ("<script>document.write('<img src=no.png>')</script>", &[]),
            ("<title><img src=no.png></title><textarea><img src=no.png></textarea>", &[]),
            ("<!-- <img src=no.png> -->", &[]),
            ("<noscript><img src=no.png></noscript><img src=y.png>", &["image ROOT/a/y.png"]),
            ("<template><div><img src=no.png></div></template><img src=y.png>", &["image ROOT/a/y.png"]),
            ("<img src='a b.png'>", &["image ROOT/a/a%20b.png"]),
            (
                "<img src=x.png srcset='x.png 1x, y,z.png 2x,w.png'>",
                &["image ROOT/a/x.png", "image ROOT/a/y,z.png", "image ROOT/a/w.png"],
            ),
            (
                "<picture><source srcset='a.webp'><img src=a.png></picture>",
                &["image ROOT/a/a.webp", "image ROOT/a/a.png"],
            ),
            ("<video poster=p.jpg src=f.mp4><source src=f.webm></video>", &["image ROOT/a/p.jpg"]),
            ("<img src='data:image/png;base64,AA=='><img src='#x'><img src=''><img src='blob:x'>", &[]),
            ("<style>@import 'i.css'; a{b:url(f.woff)}</style>", &["stylesheet ROOT/a/i.css", "font ROOT/a/f.woff"]),
            ("<p style='background: url(&quot;b.png&quot;)'>", &["image ROOT/a/b.png"]),
            (
                "<svg><use href='/sprite.svg#x'/><image xlink:href=i.svg /></svg>",
                &["image ROOT/sprite.svg", "image ROOT/a/i.svg"],
            ),
            ("<base href=/b/><base href=/c/><img src=x.png>", &["image ROOT/b/x.png"]),
            ("<a href=/other>x</a><iframe src=/f></iframe><form action=/f></form>", &[]),
            ("<img src=x.png><img src=x.png#again>", &["image ROOT/a/x.png"]),
            ("<img src=\"/open.png", &[]),
        ];
        for (html, wanted) in rows {
            let wanted: Vec<_> = wanted.iter().map(|url| url.replace("ROOT", ROOT)).collect();
            assert_eq!(urls(html), wanted, "{html}");
        }
    }

    #[test]
    fn plain_http_is_unfit_where_the_page_is_https_and_nowhere_else() {
        let html = "<img src='http://wiki.example.org/x.png'><img src='http://[bad'>";
        let told: Vec<String> = of_page(&page(), html).unfit.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("the image http://wiki.example.org/x.png over plain HTTP"), "{told:?}");
        assert!(told[1].contains("\"http://[bad\""), "{told:?}");

        let plain: Url = "http://wiki.example.org/".parse().unwrap();
        assert_eq!(of_page(&plain, "<img src=x.png>").unfit, []);
        assert_eq!(of_page(&plain, "<base href='https://x.example.org/'><img src=x.png>").assets.len(), 1);
    }

    #[test]
    fn addresses_within_a_stylesheet_begin_at_the_stylesheet() {
        let url: Url = "https://cdn.example.net/css/s.css".parse().unwrap();
        let loads = of_stylesheet(&url, "@import 'more.css'; a { b: url(../f.ttf?x) } c { d: url(/i.svg) }", true);
        let told: Vec<_> = loads.assets.iter().map(|asset| format!("{} {}", asset.kind, asset.url)).collect();
        let root = "https://cdn.example.net";
        assert_eq!(
            told,
            [format!("stylesheet {root}/css/more.css"), format!("font {root}/f.ttf?x"), format!("image {root}/i.svg")]
        );
        assert_eq!(of_stylesheet(&url, "a{b:url(http://x.net/y)}", true).unfit.len(), 1);
    }

    proptest! {
        #[test]
        fn any_page_is_read_to_its_end(html in r#"(<(img|link|style|base|noscript|/noscript|script)[ a-z='"]{0,12}>?|srcset='[ ,a-z]{0,9}'|.{0,4}){0,12}"#) {
            let loads = of_page(&page(), &html);
            prop_assert!(loads.assets.len() <= html.len());
        }

        #[test]
        fn every_set_of_candidates_ends(set in "[ ,a-c1x]{0,30}") {
            prop_assert!(candidates(&set).iter().all(|address| !address.is_empty()));
        }
    }
}
