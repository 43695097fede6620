//! The client in Rust, with tonic. README.md in the directory above says what it
//! does.

mod consumer;
mod golden;
mod scenario;
mod server;
mod values;

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use tokio::time::timeout;

use crate::{
    scenario::{STEPS, Scenario},
    server::Server,
};

/// How long a step waits for the server.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut scenario = Scenario {
        server: Server::new(
            &variable("TIDINGS_TRANSPORT")?,
            &variable("TIDINGS_GRPC")?,
            &variable("TIDINGS_URL")?,
        )?,
        topic: variable("TIDINGS_TOPIC")?,
        golden: variable("TIDINGS_GOLDEN")?.into(),
        out: variable("TIDINGS_OUT")?.into(),
    };
    let mut code = ExitCode::SUCCESS;
    for step in STEPS {
        let ended = timeout(PATIENCE, scenario.perform(step)).await;
        match ended.unwrap_or_else(|elapsed| Err(elapsed.into())) {
            Ok(()) => println!("{step} ok"),
            Err(error) => {
                println!("{step} fail: {}", format!("{error:#}").replace('\n', " "));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| name.to_string())
}
