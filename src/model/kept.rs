//! Texts that were kept on disk under a schema number.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why such a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    #[error("{0}")]
    Form(String),
    #[error("schema {found} instead of {known}: a newer evenkeel wrote it")]
    Newer { found: u32, known: u32 },
}

/// What a text says that is of this schema or of an older one.
///
/// # Errors
/// For what is damaged, and for what was written by a newer program.
pub fn parse<T: DeserializeOwned>(text: &[u8], known: u32) -> Result<T, KeptError> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let damaged = |cause: serde_json::Error| KeptError::Form(cause.to_string());
    let Schema { schema: found } = serde_json::from_slice(text).map_err(damaged)?;
    if found > known {
        return Err(KeptError::Newer { found, known });
    }
    serde_json::from_slice(text).map_err(damaged)
}
