//! The ToolBox's web page: its program built for browsers and laid beside its files, and a small server for it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use serde_json::json;

use crate::failure::Failure;
use crate::process;
use crate::workspace::Workspace;

/// Where the server listens: on this computer only. Browsers allow NFC and serial ports on it without a certificate.
const PORT: u16 = 8523;

/// The longest first line of a request that is looked at.
const MAX_LINE: u64 = 8192;

/// What the page's program is built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the page and returns its folder, which any web server can offer as it is.
///
/// # Errors
/// It does not build, or cannot be written.
pub fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let target_dir = workspace.target_dir()?;
    let folder = target_dir.join("toolbox");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
    }
    let mut cargo = workspace.cargo();
    cargo.arg("rustc");
    make(cargo, &workspace.root, &target_dir, &folder)?;
    Ok(folder)
}

/// Builds the page with a call of `cargo rustc`, writes its files into a folder, and returns them.
///
/// # Errors
/// It does not build, or cannot be written.
pub fn make(
    mut cargo: Command,
    root: &Path,
    target_dir: &Path,
    folder: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    cargo.args(["--quiet", "--profile", "web", "--target", TARGET, "--package", "sockeye-web", "--lib"]);
    // For browsers alone: a library of this kind for the host cannot be linked, by the names of defmt's symbols.
    cargo.args(["--crate-type", "cdylib"]);
    process::run(&mut cargo)?;
    let program = target_dir.join(TARGET).join("web").join("sockeye_web.wasm");
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |error| Failure::file(&path, error)
    };
    fs::create_dir_all(folder).map_err(wrong(folder))?;

    let page = root.join("boards/web/page");
    let program = fs::read(&program).map_err(wrong(&program))?;
    let mut files = vec![(PROGRAM.to_owned(), packed(&program).map_err(wrong(&page))?)];
    for entry in fs::read_dir(&page).map_err(wrong(&page))? {
        let path = entry.map_err(wrong(&page))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, fs::read(&path).map_err(wrong(&path))?));
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    let version = format!("{:016x}", hasher.finish());
    let mut made = Vec::new();
    for (name, bytes) in files {
        let path = folder.join(&name);
        let bytes = match name.as_str() {
            // The worker keeps what it has until its own text changes.
            "sw.js" => String::from_utf8_lossy(&bytes).replace("VERSION", &version).into_bytes(),
            _ => bytes,
        };
        fs::write(&path, bytes).map_err(wrong(&path))?;
        made.push(path);
    }
    Ok(made)
}

/// The program, packed: the page unpacks it itself, so that it is small on the way from every server.
const PROGRAM: &str = "sockeye.bin";

fn packed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    packer.finish()
}

/// Builds the page and offers it until it is stopped.
///
/// # Errors
/// It does not build, or the port is in use.
pub fn serve(workspace: &Workspace) -> Result<(), Failure> {
    let folder = build(workspace)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .map_err(|error| Failure::Failed(format!("cannot listen on 127.0.0.1:{PORT}: {error}")))?;
    println!("the ToolBox is at http://127.0.0.1:{PORT}/ ; Ctrl-C ends it");
    println!("its files, for any web server: {}", folder.display());
    offer(&listener, &folder);
    Ok(())
}

/// Installs the packages of the page's test as their lock file has them, and returns their folder. What is there already
/// is not asked for again.
///
/// # Errors
/// npm fails.
pub fn modules(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let folder = workspace.target_dir()?.join("web-tests");
    let tests = workspace.root.join("boards/web/tests");
    let is_same = ["package.json", "package-lock.json"].iter().all(|name| {
        fs::read(tests.join(name))
            .ok()
            .is_some_and(|bytes| fs::read(folder.join(name)).is_ok_and(|it| it == bytes))
    });
    if is_same && folder.join("node_modules").is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|error| Failure::file(&folder, error))?;
    for name in ["package.json", "package-lock.json"] {
        let to = folder.join(name);
        fs::copy(tests.join(name), &to).map_err(|error| Failure::file(&to, error))?;
    }
    // The browser is Debian's: none is to be downloaded.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
    process::output(&mut npm)?;
    Ok(folder)
}

/// Makes the call that tries the page in a browser. It prints lines as a test binary does.
///
/// # Errors
/// The page does not build, the packages are not there.
pub fn test(workspace: &Workspace) -> Result<Command, Failure> {
    browser(workspace, &workspace.target_dir()?.join("pictures"))
}

/// Takes the pictures of docs/ that show the page and the terminal.
///
/// # Errors
/// As [`test()`], and what the browser finds wrong.
pub fn pictures(workspace: &Workspace) -> Result<(), Failure> {
    process::run(browser(workspace, &workspace.root.join("docs/pictures"))?.arg("picture: "))
}

fn browser(workspace: &Workspace, pictures: &Path) -> Result<Command, Failure> {
    let folder = build(workspace)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|error| Failure::Failed(format!("cannot listen on 127.0.0.1: {error}")))?;
    let at = listener.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    std::thread::spawn(move || offer(&listener, &folder));
    let modules = modules(workspace)?;
    let mut node = Command::new("node");
    node.arg(workspace.root.join("boards/web/tests/browser.mjs"));
    node.arg(format!("http://{at}/")).arg(pictures);
    node.env("SOCKEYE_TERMINAL", terminal(workspace, &modules)?).env("SOCKEYE_NODE_MODULES", modules);
    if let Some(chromium) = process::find("chromium") {
        node.env("SOCKEYE_CHROMIUM", chromium);
    }
    Ok(node)
}

/// What is typed for the picture of the terminal, behind `cargo xtask toolbox`.
const TYPED: [&str; 5] = [
    "--sim=my.socket set led=off overcurrent_alarm=12A",
    "--sim=my.socket set reporting_interval_s=59",
    "sim-update new.update --version 0.20",
    "--sim=my.socket upgrade new.update",
    "--sim=my.socket read | head -10",
];

/// Calls the ToolBox at a terminal, and returns the file with what was typed and what it said.
fn terminal(workspace: &Workspace, folder: &Path) -> Result<PathBuf, Failure> {
    process::run(workspace.cargo().args(["build", "--quiet", "--package", "sockeye-toolbox"]))?;
    let program = workspace.target_dir()?.join("debug/sockeye-toolbox");
    let socket = folder.join("my.socket");
    if socket.exists() {
        fs::remove_file(&socket).map_err(|error| Failure::file(&socket, error))?;
    }
    let mut calls = Vec::new();
    for typed in TYPED {
        // A pseudo terminal, as only there it draws its bar. What a call ends with is seen in what it says.
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--command"]).arg(format!("'{}' {typed}", program.display()));
        script.arg("/dev/null").current_dir(folder).env_remove("SOCKEYE_PASSWORD");
        let said = process::output(&mut script)?.replace("\r\n", "\n");
        // A line that was drawn over is what it was at last.
        let said: Vec<_> = said.lines().map(|line| line.rsplit('\r').next().unwrap_or(line)).collect();
        let command = format!("cargo xtask toolbox {typed}");
        calls.push(json!({ "command": command, "said": said.join("\n") + "\n" }));
    }
    let file = folder.join("terminal.json");
    fs::write(&file, json!(calls).to_string()).map_err(|error| Failure::file(&file, error))?;
    Ok(file)
}

/// Offers a folder's files, each connection for itself, for ever.
pub fn offer(listener: &TcpListener, folder: &Path) {
    for stream in listener.incoming().flatten() {
        let folder = folder.to_owned();
        std::thread::spawn(move || {
            // A browser that goes away is no fault of ours.
            let _ = answer(&stream, &folder);
        });
    }
}

fn answer(mut stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(std::io::Read::take(stream, MAX_LINE)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // What else the browser says has to be read before the connection closes.
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let file = asked(&first).map(|name| folder.join(name)).filter(|path| path.is_file());
    let (status, kind, body) = match file {
        Some(path) => ("200 OK", content_type(&path), fs::read(&path)?),
        None => ("404 Not Found", "text/plain", b"not here\n".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// Reads the name of a file from a request's first line: one in the folder itself, and nowhere else.
fn asked(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("GET /")?;
    let path = rest.split([' ', '?', '#']).next()?;
    match path {
        "" => Some("index.html"),
        _ => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            (path.bytes().all(plain) && !path.starts_with('.')).then_some(path)
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_itself_are_offered() {
        for (line, name) in [
            ("GET / HTTP/1.1", Some("index.html")),
            ("GET /app.js HTTP/1.1", Some("app.js")),
            ("GET /?source=pwa HTTP/1.1", Some("index.html")),
            ("GET /app.js?1 HTTP/1.1", Some("app.js")),
            ("GET /../Cargo.toml HTTP/1.1", None),
            ("GET /%2e%2e/Cargo.toml HTTP/1.1", None),
            ("GET /a/b.js HTTP/1.1", None),
            ("GET //etc/passwd HTTP/1.1", None),
            ("GET /.git HTTP/1.1", None),
            ("POST / HTTP/1.1", None),
            ("", None),
        ] {
            assert_eq!(asked(line), name, "{line}");
        }
    }

    #[test]
    fn the_pictures_of_the_docs_are_there_and_small() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (page, folder) in [("README.md", ""), ("docs/TOOLBOX.md", "docs/")] {
            let text = fs::read_to_string(root.join(page)).unwrap();
            let shown: Vec<_> =
                text.split("](").filter_map(|rest| Some(rest.split_once(".png)")?.0)).collect();
            assert!(shown.len() >= 3, "{page} shows {shown:?}");
            for name in shown {
                assert!(name.contains("pictures/"), "{page}: {name} is taken by no test");
                let file = root.join(folder).join(name).with_extension("png");
                let len =
                    fs::metadata(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).len();
                assert!((1_000..150_000).contains(&len), "{}: {len} bytes", file.display());
            }
        }
    }

    #[test]
    fn the_worker_keeps_every_file_that_the_page_has() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/web/page");
        let worker = fs::read_to_string(page.join("sw.js")).unwrap();
        for entry in fs::read_dir(&page).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let kept = worker.contains(&format!("\"{name}\"")) || name == "index.html" || name == "sw.js";
            assert!(kept, "{name}");
        }
    }
}
