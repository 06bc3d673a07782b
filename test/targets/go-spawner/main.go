// Starts programs as Go does, from several goroutines at once: os/exec, with pipes and without.
//
//	go -> "done" after one, two and three were written by shells of their own      quit -> exit 0
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
)

func check(err error) {
	if err != nil {
		fmt.Printf("FAIL %v\n", err)
		os.Exit(1)
	}
}

func write(name string) {
	command := exec.Command("sh", "-c", "cat > "+name)
	command.Stdin = strings.NewReader(name)
	out, err := command.CombinedOutput()
	if len(out) > 0 {
		fmt.Printf("FAIL the shell said %s\n", out)
		os.Exit(1)
	}
	check(err)
}

func main() {
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "quit" {
		var all sync.WaitGroup
		for _, name := range []string{"one", "two", "three"} {
			all.Add(1)
			go func() {
				defer all.Done()
				write(name)
			}()
		}
		all.Wait()
		fmt.Println("done")
	}
}
