#include "ngtcp2_guard.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>

namespace kwik {

thread_local bool Ngtcp2Guard::active_ = false;

void Ngtcp2Guard::give_up(const char* what, const char* file, unsigned line) {
    if (!active_) return;
    // Once: a peer may be able to bring it about as often as it likes.
    static std::atomic<bool> said{false};
    if (!said.exchange(true)) {
        char text[256];
        const int length = std::snprintf(text, sizeof text, "kwik: ngtcp2 gave up a connection: %s:%u: %s\n", file, line, what);
        // By the descriptor: `stderr` is not at hand here, see api.cpp.
        (void)!::write(STDERR_FILENO, text, std::min<std::size_t>(static_cast<std::size_t>(length), sizeof text - 1));
    }
    throw Defect{};
}

}  // namespace kwik

// The linker's --wrap: what ngtcp2's objects call under the name without the prefix.
extern "C" {
[[noreturn]] void __real___assert_fail(const char* expression, const char* file, unsigned line, const char* function);
[[noreturn]] void __real_ngtcp2_unreachable_fail(const char* file, int line, const char* function);

[[noreturn]] __attribute__((visibility("hidden"))) void __wrap___assert_fail(const char* expression, const char* file, unsigned line, const char* function) {
    kwik::Ngtcp2Guard::give_up(expression, file, line);
    __real___assert_fail(expression, file, line, function);
}

[[noreturn]] __attribute__((visibility("hidden"))) void __wrap_ngtcp2_unreachable_fail(const char* file, int line, const char* function) {
    kwik::Ngtcp2Guard::give_up(function, file, static_cast<unsigned>(line));
    __real_ngtcp2_unreachable_fail(file, line, function);
}
}
