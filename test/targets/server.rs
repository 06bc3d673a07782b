// Serves the files of a directory, and gives back what is posted to /echo: HTTP/1.1 with keep-alive, a thread for each
// connection, nothing but the standard library. Arguments: the port on 127.0.0.1, the directory.
use std::fs;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

/// The next request; None at the end of the connection.
fn receive(from: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    loop {
        let mut header = String::new();
        from.read_line(&mut header)?;
        if header.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    Ok(Some(Request { method, path, body }))
}

fn serve(stream: TcpStream, folder: &Path) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut to = stream.try_clone()?;
    let mut from = BufReader::new(stream);
    while let Some(request) = receive(&mut from)? {
        let (status, body) = if request.method == "POST" && request.path == "/echo" {
            ("200 OK", request.body)
        } else {
            match fs::read(folder.join(request.path.trim_start_matches('/'))) {
                Ok(bytes) => ("200 OK", bytes),
                Err(_) => ("404 Not Found", Vec::new()),
            }
        };
        let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        if request.method != "HEAD" {
            answer.extend_from_slice(&body);
        }
        to.write_all(&answer)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let listener = TcpListener::bind(format!("127.0.0.1:{}", arguments[1]))?;
    println!("ready");
    for stream in listener.incoming() {
        let (stream, folder) = (stream?, arguments[2].clone());
        std::thread::spawn(move || serve(stream, Path::new(&folder)));
    }
    Ok(())
}
