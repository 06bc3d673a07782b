import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;

/** Serves the files of a directory, and gives back what is posted to /echo. Arguments: port on 127.0.0.1, directory. */
final class Server {
  private static void answer(HttpExchange exchange, int status, byte[] body) throws IOException {
    final boolean bodiless = body.length == 0 || exchange.getRequestMethod().equals("HEAD");
    if (exchange.getRequestMethod().equals("HEAD")) {
      exchange.getResponseHeaders().set("Content-Length", Integer.toString(body.length));
    }
    exchange.sendResponseHeaders(status, bodiless ? -1 : body.length);
    if (!bodiless) exchange.getResponseBody().write(body);
    exchange.close();
  }

  public static void main(String[] arguments) throws IOException {
    final Path root = Path.of(arguments[1]);
    final HttpServer server =
        HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 128);
    server.createContext("/echo", exchange -> answer(exchange, 200, exchange.getRequestBody().readAllBytes()));
    server.createContext(
        "/",
        exchange -> {
          final Path file = root.resolve(exchange.getRequestURI().getPath().substring(1)).normalize();
          if (file.startsWith(root) && Files.isRegularFile(file)) answer(exchange, 200, Files.readAllBytes(file));
          else answer(exchange, 404, "no such file\n".getBytes());
        });
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.start();
    System.out.println("ready");
  }
}
