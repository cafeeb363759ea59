// Unpredictable bytes.
#pragma once

#include <gnutls/crypto.h>
#include <sys/random.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace kwik {

// GnuTLS' generator, and the kernel's when that one fails, as it does when it cannot get memory for a new thread: what is random must never be what lay in memory before.
inline void fill_random(void* out, std::size_t size, gnutls_rnd_level_t level = GNUTLS_RND_NONCE) noexcept {
    if (gnutls_rnd(level, out, size) >= 0) return;
    for (std::size_t done = 0; done < size;) {
        const ssize_t part = getrandom(static_cast<std::uint8_t*>(out) + done, size - done, 0);
        if (part > 0) done += static_cast<std::size_t>(part);
        else if (errno != EINTR) __builtin_trap();  // A kernel without random numbers: nothing safe can follow.
    }
}

}  // namespace kwik
