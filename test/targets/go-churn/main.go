// Goroutines that the run-time must pre-empt by signals: tight loops that call nothing, on as many threads as there are
// processors and one more; beside them goroutines that come and go, each moving verified bytes through a pipe or a
// loopback connection, and a collection of garbage every few milliseconds, which stops them all.
//
//	status -> "status GOROUTINES"      quit -> same line, exit 0
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var (
	ended atomic.Int64
	stop  atomic.Bool
	spun  uint64
)

func fail(format string, arguments ...any) {
	fmt.Printf("FAIL "+format+"\n", arguments...)
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// No call, no allocation, no look at anything: only a signal gets it off its thread.
func spin(rounds uint64) uint64 {
	x := rounds | 1
	for i := uint64(0); i < rounds; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func pattern(id, turn, length int) []byte {
	bytes := make([]byte, length)
	for i := range bytes {
		bytes[i] = byte(7*i + 13*turn + id)
	}
	return bytes
}

// Moves bytes from one end to the other, in the order in which they were written.
func move(id int, from io.Reader, to io.Writer) {
	back := make([]byte, 4000)
	for turn := 0; turn < 5; turn++ {
		out := pattern(id, turn, 1+(id*31+turn*977)%4000)
		_, err := to.Write(out)
		check(err)
		_, err = io.ReadFull(from, back[:len(out)])
		check(err)
		if !bytes.Equal(out, back[:len(out)]) {
			fail("goroutine %d read other bytes than it wrote", id)
		}
	}
}

func throughPipe(id int) {
	from, to, err := os.Pipe()
	check(err)
	move(id, from, to)
	check(to.Close())
	check(from.Close())
}

func throughConnection(id int, listener net.Listener) {
	to, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	from, err := listener.Accept()
	check(err)
	hello := []byte{1}
	_, err = to.Write(hello) // whose the accepted one is does not matter: each is read by whoever wrote to it
	check(err)
	_, err = io.ReadFull(from, hello)
	check(err)
	check(to.Close())
	check(from.Close())
}

func churn(id int, listener net.Listener) {
	for !stop.Load() {
		var group sync.WaitGroup
		for i := 0; i < 20; i++ {
			group.Add(1)
			go func(i int) {
				defer group.Done()
				if i%5 == 0 {
					throughConnection(id+i, listener)
				} else {
					throughPipe(id + i)
				}
				ended.Add(1)
			}(i)
		}
		group.Wait()
		id += 20
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	for i := 0; i <= runtime.GOMAXPROCS(0); i++ {
		go func() {
			for !stop.Load() {
				atomic.AddUint64(&spun, spin(20_000_000)&1)
				time.Sleep(time.Millisecond)
			}
		}()
	}
	var churning sync.WaitGroup
	churning.Add(1)
	go func() {
		defer churning.Done()
		churn(0, listener)
	}()
	go func() {
		for !stop.Load() {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	fmt.Println("ready")
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() && commands.Text() != "quit" {
		fmt.Printf("status %d\n", ended.Load())
	}
	stop.Store(true)
	churning.Wait()
	fmt.Printf("status %d\n", ended.Load())
}
