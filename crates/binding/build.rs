fn main() {
    // Leaves the napi_* symbols to the host on macOS, and finds them at load time on Windows.
    napi_build::setup();
}
