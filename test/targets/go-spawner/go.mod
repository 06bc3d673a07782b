module scope.test/go-spawner

go 1.22
