//! Woodpecker's server by a recipe of our own in the form of its documentation: what would go to the Engine.
//!
//! It is not run: its server can be had from no package registry. A snapshot holds the request for its service.

use crate::fixtures::RecipeRepo;
use crate::real::certificate;
use crate::refusing::Host;

#[test]
fn a_recipe_of_woodpecker_is_given_the_declared_gitea_and_routes_its_agents_to_the_same_domain() {
    let (recipe, proxy) = (RecipeRepo::build("woodpecker"), RecipeRepo::build("traefik"));
    let host = Host::new();
    let certificate = certificate::good("x.example");
    let files = [
        ("chain", certificate.chain.as_str()),
        ("key", &certificate.key),
        ("agent", "a-s3cret"),
        ("client", "c-s3cret"),
    ];
    files.iter().for_each(|(name, text)| std::fs::write(host.path(name), text).unwrap());
    let file = |name: &str| host.path(name).display().to_string();
    let table = format!(
        r#"
[proxy]
recipe = {{ url = "{proxy}" }}
compose = ["compose.yml", "compose.wildcard.yml"]
certificate = {{ chain = "{chain}", key = "{key}" }}
[drone]
engine = "woodpecker"
recipe = {{ url = "{recipe}" }}
compose = ["compose.yml", "compose.gitea.yml"]
secrets = {{ agent_secret = "{agent}", client_secret = "{client}" }}
gitea = {{ server = "https://git.x.example", client_id = "0a1b" }}
"#,
        recipe = recipe.url(),
        proxy = proxy.url(),
        chain = file("chain"),
        key = file("key"),
        agent = file("agent"),
        client = file("client"),
    );
    let host = host.table(&table);

    let checked = host.run(&["check"]);
    assert!(checked.code == 0 && checked.out.contains("drone: fine at 1.0.0+3.10.0"), "{checked:#?}");
    let rendered = host.run(&["render", "drone"]);
    assert!(rendered.code == 0 && !rendered.out.contains("s3cret"), "{rendered:#?}");
    let (_, service) = rendered.out.split_once("POST /services/create\n").expect("one service");
    // Names by content differ from host to host, and so do temporary folders.
    let filters = [
        ("_secret_c[0-9a-f]{7}", "_secret_(by content)"),
        ("=c[0-9a-f]{7}", "=(by content)"),
        (r#""\.tmp[^"]*""#, "(a folder)"),
    ];
    insta::with_settings!({ filters => filters }, {
        insta::assert_snapshot!("service", service);
    });
}
