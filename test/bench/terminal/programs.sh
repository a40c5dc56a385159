#!/bin/sh
# What the measured terminals run, named by the first argument. The texts lie beside this file.
here=$(dirname "$0")
case "$1" in
  long | utf8) while :; do cat "$here/$1.txt"; done ;;
  seq) while :; do seq 1 9000000; done ;;
  # Every key comes back from a program, not from the kernel's line editing.
  echo) stty raw -echo; printf ready; exec cat ;;
  hello) printf ready; exec cat ;;
  once) exec cat "$here/once.txt" ;;
  full) cat "$here/once.txt"; printf ready; exec cat ;;
esac
