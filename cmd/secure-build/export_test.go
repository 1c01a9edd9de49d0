package main

// Main is what the end-to-end tests run as the command.
var Main = realMain

// UseImage sets the image of BuildKit that docker is to start.
func UseImage(image string) { engineImage = image }
