// Serves the files of a directory, and gives back what is posted to /echo.
// Arguments: the port on 127.0.0.1, the directory.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(os.Args[2])))
	mux.HandleFunc("/echo", func(response http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		response.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = response.Write(body)
	})
	fmt.Println("ready")
	log.Fatal(http.Serve(listener, mux))
}
