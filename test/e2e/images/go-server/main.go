// An HTTP server of the standard library, linked statically: the only file of its image.
package main

import (
	"fmt"
	"log"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "go")
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}
