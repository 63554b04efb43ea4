;; WASI preview 1 for a transaction: what Rust's (and C's) standard library asks of a system, served by
;; `selvedge:chaincode/process`. The counterpart is wasmtime's preview-1 adapter, which offers all of WASI 0.2 and costs
;; 11 us a transaction; a chaincode has no files, no sockets and no environment, so this one is a few hundred bytes.
;;
;; wit-component links it into a module built for wasm32-wasip1 and drops the exports that the module doesn't import.
;; What it needs of an adapter (wit-component, `gc.rs`): one imported memory, no data or element segments, no table.
;; Only scalars and pointers cross, so neither a stack nor an allocator is needed. The invariant: no function here can
;; fail but by reading or writing outside the guest's own memory, which traps that guest.
;;
;; Error numbers are preview 1's `errno`: 0 success, 8 badf, 28 inval, 76 notcapable.
(module
  (import "selvedge:chaincode/process@0.1.0" "write" (func $write (param i32 i32 i32)))
  (import "selvedge:chaincode/process@0.1.0" "now" (func $now (result i64)))
  (import "selvedge:chaincode/process@0.1.0" "random" (func $random (result i64)))
  (import "selvedge:chaincode/process@0.1.0" "exit" (func $exit (param i32)))
  (import "env" "memory" (memory 0))

  ;; Standard out and standard error only. An iovec is a pointer and a length.
  (func (export "fd_write") (param $fd i32) (param $iovs i32) (param $count i32) (param $written i32) (result i32)
    (local $length i32) (local $total i32)
    (if (i32.gt_u (i32.sub (local.get $fd) (i32.const 1)) (i32.const 1))
      (then (return (i32.const 8))))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $length (i32.load offset=4 (local.get $iovs)))
        (if (local.get $length)
          (then
            (call $write (local.get $fd) (i32.load (local.get $iovs)) (local.get $length))
            (local.set $total (i32.add (local.get $total) (local.get $length)))))
        (local.set $iovs (i32.add (local.get $iovs) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $total))
    (i32.const 0))

  ;; Every clock (0 to 3) shows the proposal's time: endorsers must agree.
  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (if (i32.gt_u (local.get $clock) (i32.const 3))
      (then (return (i32.const 28))))
    (i64.store (local.get $time) (call $now))
    (i32.const 0))
  (func (export "clock_res_get") (param $clock i32) (param $resolution i32) (result i32)
    (if (i32.gt_u (local.get $clock) (i32.const 3))
      (then (return (i32.const 28))))
    (i64.store (local.get $resolution) (i64.const 1))
    (i32.const 0))

  ;; Eight bytes for each call to the host, the last ones cut.
  (func (export "random_get") (param $buffer i32) (param $length i32) (result i32)
    (local $bits i64)
    (block $tail
      (loop $next
        (br_if $tail (i32.lt_u (local.get $length) (i32.const 8)))
        (i64.store (local.get $buffer) (call $random))
        (local.set $buffer (i32.add (local.get $buffer) (i32.const 8)))
        (local.set $length (i32.sub (local.get $length) (i32.const 8)))
        (br $next)))
    (if (local.get $length)
      (then
        (local.set $bits (call $random))
        (loop $byte
          (i64.store8 (local.get $buffer) (local.get $bits))
          (local.set $bits (i64.shr_u (local.get $bits) (i64.const 8)))
          (local.set $buffer (i32.add (local.get $buffer) (i32.const 1)))
          (br_if $byte (local.tee $length (i32.sub (local.get $length) (i32.const 1)))))))
    (i32.const 0))

  ;; No arguments and no environment: zero entries in zero bytes.
  (func (export "args_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "args_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))
  (func (export "environ_get") (param i32 i32) (result i32) (i32.const 0))
  (func (export "environ_sizes_get") (param $count i32) (param $size i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $size) (i32.const 0))
    (i32.const 0))

  (func (export "proc_exit") (param $code i32)
    (call $exit (local.get $code))
    unreachable)
  (func (export "sched_yield") (result i32) (i32.const 0))

  ;; wasi-libc lists the preopened directories from descriptor 3 on until it is told `badf`: there are none.
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))

  ;; Files, directories, sockets, signals and waiting: refused.
  (func (export "fd_advise") (param i32 i64 i64 i32) (result i32) (i32.const 76))
  (func (export "fd_allocate") (param i32 i64 i64) (result i32) (i32.const 76))
  (func (export "fd_close") (param i32) (result i32) (i32.const 76))
  (func (export "fd_datasync") (param i32) (result i32) (i32.const 76))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 76))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 76))
  (func (export "fd_fdstat_set_rights") (param i32 i64 i64) (result i32) (i32.const 76))
  (func (export "fd_filestat_get") (param i32 i32) (result i32) (i32.const 76))
  (func (export "fd_filestat_set_size") (param i32 i64) (result i32) (i32.const 76))
  (func (export "fd_filestat_set_times") (param i32 i64 i64 i32) (result i32) (i32.const 76))
  (func (export "fd_pread") (param i32 i32 i32 i64 i32) (result i32) (i32.const 76))
  (func (export "fd_pwrite") (param i32 i32 i32 i64 i32) (result i32) (i32.const 76))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32) (i32.const 76))
  (func (export "fd_renumber") (param i32 i32) (result i32) (i32.const 76))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 76))
  (func (export "fd_sync") (param i32) (result i32) (i32.const 76))
  (func (export "fd_tell") (param i32 i32) (result i32) (i32.const 76))
  (func (export "path_create_directory") (param i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_filestat_get") (param i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_filestat_set_times") (param i32 i32 i32 i32 i64 i64 i32) (result i32) (i32.const 76))
  (func (export "path_link") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32) (i32.const 76))
  (func (export "path_readlink") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_remove_directory") (param i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_rename") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_symlink") (param i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "path_unlink_file") (param i32 i32 i32) (result i32) (i32.const 76))
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "proc_raise") (param i32) (result i32) (i32.const 76))
  (func (export "sock_accept") (param i32 i32 i32) (result i32) (i32.const 76))
  (func (export "sock_recv") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "sock_send") (param i32 i32 i32 i32 i32) (result i32) (i32.const 76))
  (func (export "sock_shutdown") (param i32 i32) (result i32) (i32.const 76)))
