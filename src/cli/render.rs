//! `render`: Engine API bodies, without an Engine.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::app::no_such_app;
use super::world;
use crate::app;
use crate::desired::{self, Reading};
use crate::host::recipes::{operator_file, tree_of_directory};
use crate::model::app::{Domain, StackName};
use crate::model::diagnostic::Diagnostics;
use crate::recipe::interpolate::Environment;
use crate::recipe::{Tree, env};
use crate::telemetry;

#[derive(Debug, Args)]
pub struct Arguments {
    /// An app of the configuration, with everything that its recipe's own tool would add.
    #[arg(value_name = "APP", required_unless_present = "recipe", conflicts_with = "recipe")]
    app: Option<String>,
    /// A recipe's folder: what a plain `docker stack deploy` would send. Needs no configuration.
    #[arg(long, value_name = "DIR")]
    recipe: Option<PathBuf>,
    /// A file with the whole environment, instead of the recipe's own defaults (.env.sample and abra.sh).
    #[arg(long, value_name = "FILE", requires = "recipe")]
    env: Option<PathBuf>,
    /// Compose files, joined by colons, instead of COMPOSE_FILE [default without either: compose.yml].
    #[arg(long, value_name = "A:B", requires = "recipe")]
    compose: Option<String>,
    /// Where the app would answer (DOMAIN); the stack is named after it, with _ for each dot.
    #[arg(long, value_name = "DOMAIN", requires = "recipe")]
    domain: Option<Domain>,
    /// The stack's name [default: from --domain, else the folder's name].
    #[arg(long, value_name = "NAME", requires = "recipe")]
    stack: Option<StackName>,
    /// Print one JSON object, as `evenkeel generate render-schema` describes it.
    #[arg(long)]
    json: bool,
}

/// What came of it.
struct Rendered {
    posts: Vec<(String, Value)>,
    warnings: Diagnostics,
}

pub async fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<u8> {
    let rendered = match (&arguments.app, &arguments.recipe) {
        (Some(name), _) => of_app(config, name).await?,
        (None, Some(dir)) => of_directory(dir, arguments)?.map_err(|wrong| texts(&wrong)),
        (None, None) => bail!("name an app, or a folder with --recipe"),
    };
    let code = u8::from(rendered.is_err());
    if arguments.json {
        super::answer(&(serde_json::to_string_pretty(&Answer::of(&rendered))? + "\n"));
        return Ok(code);
    }
    match rendered {
        Err(wrong) => tell(&wrong),
        Ok(rendered) => {
            tell(&texts(&rendered.warnings));
            super::answer(&as_text(&rendered.posts)?);
        }
    }
    Ok(code)
}

fn tell(findings: &[String]) {
    let told: Vec<String> = findings.iter().map(|finding| telemetry::indented(finding)).collect();
    if !told.is_empty() {
        super::tell(&told.join("\n"));
    }
}

fn as_text(posts: &[(String, Value)]) -> anyhow::Result<String> {
    let mut text = Vec::new();
    for (path, body) in posts {
        writeln!(text, "POST {path}")?;
        serde_json::to_writer_pretty(&mut text, body)?;
        text.extend(b"\n\n");
    }
    Ok(String::from_utf8(text)?)
}

/// One text a finding: a finding's own further lines are indented where they are shown.
fn texts(findings: &Diagnostics) -> Vec<String> {
    findings.0.iter().map(ToString::to_string).collect()
}

/// What `--json` prints. Written as it is: a recipe's bodies are long, and are not copied for it.
#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    error: String,
    warnings: Vec<String>,
    posts: &'a [(String, Value)],
}

impl<'a> Answer<'a> {
    fn of(rendered: &'a Result<Rendered, Vec<String>>) -> Self {
        match rendered {
            Ok(Rendered { posts, warnings }) => {
                Self { ok: true, error: String::new(), warnings: texts(warnings), posts }
            }
            Err(wrong) => Self { ok: false, error: wrong.join("\n"), warnings: Vec::new(), posts: &[] },
        }
    }
}

/// The inner error is what stands in the way of the app itself.
async fn of_app(config: &Path, name: &str) -> anyhow::Result<Result<Rendered, Vec<String>>> {
    let declared = world::declared(config)?;
    let Some(app) = declared.app(name) else { bail!("{}", no_such_app(&declared, &[name])) };
    let release = match app::declared_release(&declared, app, Timestamp::now()).await {
        Ok(release) => release,
        Err(outcome) => return Ok(Err(vec![format!("{name}: {outcome}")])),
    };
    let mut posts = desired::posts(release.read.desired);
    posts.iter_mut().filter(|(path, _)| path == "/secrets/create").for_each(|(_, body)| hide_data(body));
    let hidden = app::variables_of_files(app);
    let is_hidden = |name: &str, text: &str| hidden.as_ref().is_none_or(|hidden| hidden.hides(name, text));
    posts.iter_mut().for_each(|(_, body)| hide_variables(body, &is_hidden));
    let has_hidden = |text: &str| hidden.as_ref().is_some_and(|hidden| hidden.hides("", text));
    posts.iter_mut().for_each(|(_, body)| hide_texts(body, &has_hidden));
    Ok(Ok(Rendered { posts, warnings: release.read.warnings }))
}

/// An operator's secret is nobody's who reads a screen.
fn hide_data(body: &mut Value) {
    if let Some(data) = body.get_mut("Data") {
        *data = json!("(hidden)");
    }
}

fn of_directory(dir: &Path, arguments: &Arguments) -> anyhow::Result<Result<Rendered, Diagnostics>> {
    let mut tree = tree_of_directory(dir)?;
    let compose: Option<Vec<String>> =
        arguments.compose.as_ref().map(|list| list.split(':').map(str::to_owned).collect());
    let (stack, none) = (stack_name(dir, arguments)?, Environment::new());
    add_operator_files(&mut tree, desired::overlays(compose.as_deref(), &none))?;
    let reading = Reading {
        stack: &stack,
        domain: arguments.domain.as_ref().map(Domain::as_str),
        compose: compose.as_deref(),
        operator_env: &none,
        frozen_sample: None,
        forced: &none,
        tree: &tree,
    };
    let env = match environment(&reading, arguments)? {
        Ok(env) => env,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let mut whole = tree.clone();
    let named = desired::files_of_overlays(&reading);
    add_operator_files(&mut whole, named.env_files.into_iter().chain(named.objects))?;
    let folder = std::path::absolute(dir)?.display().to_string();
    let read = desired::read_plain(&Reading { tree: &whole, ..reading }, &env, &folder);
    Ok(read.map(|(desired, warnings)| Rendered { posts: desired::posts(desired), warnings }))
}

fn add_operator_files(tree: &mut Tree, paths: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    for path in paths {
        tree.entries.extend([operator_file(Path::new(&path))?]);
    }
    Ok(())
}

fn environment(reading: &Reading, arguments: &Arguments) -> anyhow::Result<Result<Environment, Diagnostics>> {
    let Some(path) = &arguments.env else {
        return Ok(desired::environment(reading));
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("read the environment from {}", path.display()))?;
    let read = env::parse(&path.display().to_string().as_str().into(), &text, &|_| None);
    Ok(read.map(|variables| variables.into_iter().map(|variable| (variable.name, variable.value)).collect()))
}

/// The one that is given, that of the domain, or the folder's own name.
fn stack_name(dir: &Path, arguments: &Arguments) -> anyhow::Result<StackName> {
    if let Some(stack) = &arguments.stack {
        return Ok(stack.clone());
    }
    if let Some(domain) = &arguments.domain {
        return Ok(domain.stack()?);
    }
    let folder = dir.canonicalize().with_context(|| format!("look at {}", dir.display()))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().replace('.', "_")).unwrap_or_default();
    name.parse().with_context(|| format!("name a stack after {} (give another with --stack)", dir.display()))
}

/// Nor a value that comes from a file of his.
fn hide_variables(body: &mut Value, is_hidden: &dyn Fn(&str, &str) -> bool) {
    let entries = body.pointer_mut("/TaskTemplate/ContainerSpec/Env").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten() {
        if let Some((name, value)) = entry.as_str().and_then(|text| text.split_once('='))
            && is_hidden(name, value)
        {
            *entry = json!(format!("{name}=(hidden)"));
        }
    }
}

/// Nor one that the recipe gives on elsewhere: in a command, a label, a name.
fn hide_texts(body: &mut Value, has_hidden: &dyn Fn(&str) -> bool) {
    match body {
        Value::String(text) if has_hidden(text) => "(hidden)".clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| hide_texts(item, has_hidden)),
        Value::Object(fields) => fields.values_mut().for_each(|value| hide_texts(value, has_hidden)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_operators_files_are_not_shown() {
        let mut body = json!({"TaskTemplate": {"ContainerSpec": {"Env": ["ADMIN=a=b", "TZ=UTC", "BARE"]}}});
        hide_variables(&mut body, &|name, _| ["ADMIN", "BARE"].contains(&name));
        assert_eq!(body["TaskTemplate"]["ContainerSpec"]["Env"], json!(["ADMIN=(hidden)", "TZ=UTC", "BARE"]));
        let mut body = json!({"Labels": {"auth": "a:hunter22"}, "Args": ["--password=hunter22", "x"], "N": 1});
        hide_texts(&mut body, &|text| text.contains("hunter22"));
        assert_eq!(body, json!({"Labels": {"auth": "(hidden)"}, "Args": ["(hidden)", "x"], "N": 1}));
    }

    #[test]
    fn a_given_secret_is_not_shown() {
        let mut body = json!({"Name": "a_cert_c1234567", "Data": "c2VjcmV0"});
        hide_data(&mut body);
        assert_eq!(body, json!({"Name": "a_cert_c1234567", "Data": "(hidden)"}));
    }
}
