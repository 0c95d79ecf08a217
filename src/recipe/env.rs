//! `.env`, `.env.sample` and the exports of `abra.sh`.
