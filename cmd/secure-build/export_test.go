package main

// Main is what the end-to-end tests run as the command.
var Main = realMain
