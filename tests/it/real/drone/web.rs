//! What speaks HTTP to the town's hosts, through the proxy: programs with a token, and a person with a browser.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::super::wait_for;

/// The web as these hosts have it.
#[derive(Clone)]
pub struct Web {
    hosts: Vec<String>,
    address: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub url: Url,
    pub status: u16,
    /// Where it leads, resolved.
    pub location: Option<Url>,
    cookies: Vec<(String, String)>,
    pub text: String,
}

impl Web {
    pub fn of(hosts: &[&str], address: SocketAddr) -> Self {
        // Whoever comes second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), address }
    }

    /// Asks once and follows nothing.
    #[track_caller]
    pub fn ask(&self, method: Method, url: &str, with: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Page {
        let url: Url = url.parse().unwrap();
        // The certificate is the proxy's matter.
        let client = Client::builder().no_proxy().redirect(Policy::none()).tls_danger_accept_invalid_certs(true);
        let client = self.hosts.iter().fold(client, |client, host| client.resolve(host, self.address)).build().unwrap();
        let request = with(client.request(method, url.clone()));
        wait_for(async move {
            let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
            let header = |name| answer.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_owned());
            let cookies = header("set-cookie").filter_map(|cookie| {
                let (name, value) = cookie.split(';').next()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            });
            let (cookies, status) = (cookies.collect(), answer.status().as_u16());
            let location = header("location").next().map(|to| url.join(&to).unwrap());
            Page { url, status, location, cookies, text: answer.text().await.unwrap() }
        })
    }
}

impl Page {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:#?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// What stands in a query of where it leads.
    pub fn leads_with(&self, key: &str) -> Option<String> {
        let to = self.location.as_ref()?;
        to.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    }

    /// The fields of the form that is sent to such a path, with the values that the page gives them.
    #[track_caller]
    fn form(&self, action: &str) -> BTreeMap<String, String> {
        let begins = format!("action=\"{action}\"");
        let (_, form) = self.text.split_once(&begins).unwrap_or_else(|| panic!("no form for {action}: {self:#?}"));
        let (form, _) = form.split_once("</form>").unwrap();
        let inputs = form.split("<input").skip(1).map(|input| input.split('>').next().unwrap());
        inputs
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
            .collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    Some(value.split('"').next()?.replace("&amp;", "&"))
}

/// A browser of one person: it keeps each host's cookies, and follows where pages lead.
pub struct Browser {
    web: Web,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    pub fn on(web: &Web) -> Self {
        Self { web: web.clone(), cookies: BTreeMap::new() }
    }

    #[track_caller]
    pub fn opens(&mut self, url: &str) -> Page {
        let page = self.asks(Method::GET, url, None);
        self.follows(page)
    }

    /// Fills these fields of a form in and sends it.
    #[track_caller]
    pub fn sends(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = page.form(action);
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = self.asks(Method::POST, page.url.join(action).unwrap().as_str(), Some(body));
        self.follows(answer)
    }

    /// The token of whoever is signed in.
    #[track_caller]
    pub fn token(&mut self, url: &str) -> String {
        let page = self.asks(Method::POST, url, Some(String::new()));
        page.json()["token"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn follows(&mut self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(to) = page.location.clone().filter(|_| (300..400).contains(&page.status)) else {
                return page;
            };
            page = self.asks(Method::GET, to.as_str(), None);
        }
        panic!("led in circles: {page:#?}")
    }

    #[track_caller]
    fn asks(&mut self, method: Method, url: &str, form: Option<String>) -> Page {
        let host = url.parse::<Url>().unwrap().host_str().unwrap().to_owned();
        let cookies = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<String> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        let page = self.web.ask(method, url, |mut request| {
            if let Some(form) = form {
                let kind = "application/x-www-form-urlencoded";
                request = request.header("origin", format!("https://{host}")).header("content-type", kind).body(form);
            }
            request.header("cookie", cookies.join("; "))
        });
        for (name, value) in &page.cookies {
            self.cookies.insert((host.clone(), name.clone()), value.clone());
        }
        page
    }
}
