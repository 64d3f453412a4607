//! PostgreSQL in a container, through testcontainers.

use std::env;
use std::fmt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use testcontainers::core::IntoContainerPort as _;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};

use super::server::Durability;

/// The port inside the container.
const PORT: u16 = 5432;

/// A daemon on this machine answers within milliseconds. Without a limit, a `DOCKER_HOST` that
/// leads nowhere would hold every test for the client's own two minutes.
const DAEMON_PATIENCE: Duration = Duration::from_secs(3);

/// The first run may have to pull the image.
const PULL_PATIENCE: Duration = Duration::from_secs(180);

/// Waits until its input is closed, which happens when the test process ends in any way, and then
/// removes the container: statics are not dropped, and a killed process drops nothing at all.
const REAPER: &str = r#"
trap '' HUP INT TERM
read -r _ || true
docker rm --force --volumes "$1" || curl --silent --request DELETE \
    --unix-socket /var/run/docker.sock "http://localhost/containers/$1?force=true&v=true"
"#;

/// A running container, which goes when this value goes or the process ends.
#[derive(Debug)]
pub(super) struct Running {
    /// The database `postgres`, as superuser.
    pub(super) admin_url: String,
    image: String,
    container: ContainerAsync<GenericImage>,
    _reaper: ChildStdin,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} of {}", self.container.id(), self.image)
    }
}

/// Starts a container, which may not answer yet.
pub(super) async fn start(durability: Durability) -> Result<Running, String> {
    let ping = async {
        let docker = docker_client_instance()
            .await
            .map_err(|error| error.to_string())?;
        docker.ping().await.map_err(|error| error.to_string())
    };
    tokio::time::timeout(DAEMON_PATIENCE, ping)
        .await
        .map_err(|_| format!("the daemon did not answer within {DAEMON_PATIENCE:?}"))??;

    let tag = env::var("VITRINE_TEST_POSTGRES_IMAGE_TAG").unwrap_or_else(|_| "17-alpine".into());
    let settings = durability.settings().iter().flat_map(|set| ["-c", *set]);
    let starting = GenericImage::new("postgres", &tag)
        .with_exposed_port(PORT.tcp())
        .with_env_var("POSTGRES_PASSWORD", "postgres")
        .with_cmd(["postgres"].into_iter().chain(settings))
        .with_labels([("vitrine.test", "true")])
        .start();
    let container = tokio::time::timeout(PULL_PATIENCE, starting)
        .await
        .map_err(|_| format!("postgres:{tag} did not start within {PULL_PATIENCE:?}"))?
        .map_err(|error| error.to_string())?;
    let reaper = spawn_reaper(container.id()).map_err(|error| error.to_string())?;
    let host = container.get_host().await.map_err(|e| e.to_string())?;
    let port = container
        .get_host_port_ipv4(PORT)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Running {
        admin_url: format!("postgres://postgres:postgres@{host}:{port}/postgres"),
        image: format!("postgres:{tag}"),
        container,
        _reaper: reaper,
    })
}

fn spawn_reaper(container: &str) -> std::io::Result<ChildStdin> {
    use std::os::unix::process::CommandExt as _;
    let Child { stdin, .. } = Command::new("sh")
        .args(["-c", REAPER, "reaper", container])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    stdin.ok_or_else(|| std::io::Error::other("a piped input is missing"))
}
