// Memory that runs out on purpose: malloc and its relatives of the whole process (operator new, ngtcp2 and GnuTLS end there too), so include it in one source file of a program only.
//
// An allocation fails only on threads that serve the library: those it started, and the test's own inside of a LibraryCall. ApplicationCode takes the callbacks out again.
// Allocations of GMP, Nettle and libtasn1 never fail, because those libraries end the process when they do, and nothing above them can help it.
#pragma once

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KWIK_REAL(name) __interceptor_##name
#else
#define KWIK_REAL(name) __libc_##name
#endif
// Sanitizers allocate before they are ready for code that they instrumented.
#define KWIK_UNSANITIZED __attribute__((no_sanitize("address", "thread", "undefined")))
extern "C" {
void* KWIK_REAL(malloc)(std::size_t);
void* KWIK_REAL(calloc)(std::size_t, std::size_t);
void* KWIK_REAL(realloc)(void*, std::size_t);
void KWIK_REAL(free)(void*);
}

namespace kwik::test {

class FailingMemory {
public:
    // The n-th allocation from now on fails, and no other; the first is 1.
    static void fail_nth(std::int64_t n) noexcept { start(n, 0, 0); }
    // Each allocation fails with this probability, in millionths; a seed makes the choices.
    static void fail_at_random(std::uint32_t millionths, std::uint64_t seed) noexcept { start(0, millionths, seed); }
    // Returns how many allocations there were that could have failed.
    static std::int64_t stop() noexcept {
        __atomic_store_n(&armed, false, __ATOMIC_SEQ_CST);
        return count_.load();
    }
    static std::int64_t failed() noexcept { return failed_.load(); }

    static bool should_fail(const void* caller) noexcept {
        if (exempt > 0 || is_spared(caller)) return false;
        const std::int64_t turn = count_.fetch_add(1) + 1;
        const bool fails = nth_.load() > 0 ? turn == nth_.load() : mixed(seed_.load() + static_cast<std::uint64_t>(turn)) % 1'000'000 < rate_.load();
        if (!fails) return false;
        failed_.fetch_add(1);
        if (trace_) print_stack();
        errno = ENOMEM;
        return true;
    }

    static inline constinit thread_local int exempt = 0;
    // Whether any allocation may fail; for malloc and its relatives, which read it without instrumentation.
    static inline constinit bool armed = false;

private:
    struct Range { std::uintptr_t begin, end; };

    static void print_stack() noexcept {
        ++exempt;
        void* frames[24];
        backtrace_symbols_fd(frames, backtrace(frames, 24), 2);
        --exempt;
    }
    static void start(std::int64_t nth, std::uint32_t rate, std::uint64_t seed) noexcept {
        trace_ = std::getenv("KWIK_OOM_TRACE") != nullptr;
        if (spared_count_ == 0) {
            dl_iterate_phdr(note_spared, nullptr);
            note_reallocation_of_gmp();
        }
        nth_ = nth;
        rate_ = rate;
        seed_ = mixed(seed);  // Or seeds that follow each other would choose the same allocations, but for one.
        count_ = failed_ = 0;
        __atomic_store_n(&armed, true, __ATOMIC_RELEASE);
    }
    static int note_spared(dl_phdr_info* info, std::size_t, void*) noexcept {
        for (const char* name : {"libgmp.", "libnettle.", "libhogweed.", "libtasn1."}) {
            if (std::strstr(info->dlpi_name, name) == nullptr) continue;
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                if (info->dlpi_phdr[i].p_type != PT_LOAD || spared_count_ == spared_.size()) continue;
                const std::uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
                spared_[spared_count_++] = {begin, begin + info->dlpi_phdr[i].p_memsz};
            }
        }
        return 0;
    }
    // GnuTLS gives GMP a function for it that ends the process too; it is short.
    static void note_reallocation_of_gmp() noexcept {
        using Get = void (*)(void* (**)(std::size_t), void* (**)(void*, std::size_t, std::size_t), void (**)(void*, std::size_t));
        const auto get = reinterpret_cast<Get>(dlsym(RTLD_DEFAULT, "__gmp_get_memory_functions"));
        if (get == nullptr || spared_count_ == spared_.size()) return;
        void* (*reallocate)(void*, std::size_t, std::size_t) = nullptr;
        get(nullptr, &reallocate, nullptr);
        const auto begin = reinterpret_cast<std::uintptr_t>(reallocate);
        spared_[spared_count_++] = {begin, begin + 256};
    }
    static bool is_spared(const void* caller) noexcept {
        const auto at = reinterpret_cast<std::uintptr_t>(caller);
        for (std::size_t i = 0; i < spared_count_; ++i) {
            if (at >= spared_[i].begin && at < spared_[i].end) return true;
        }
        return false;
    }
    // splitmix64.
    static std::uint64_t mixed(std::uint64_t x) noexcept {
        x = (x + 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        return x ^ x >> 31;
    }

    static inline constinit std::atomic<std::int64_t> nth_{0}, count_{0}, failed_{0};
    static inline constinit std::atomic<std::uint32_t> rate_{0};
    static inline constinit std::atomic<std::uint64_t> seed_{0};
    static inline constinit std::array<Range, 32> spared_{};
    static inline constinit std::size_t spared_count_ = 0;
    static inline constinit bool trace_ = false;  // KWIK_OOM_TRACE: who asked for what failed.
};

// The code of the application that a library thread calls.
struct ApplicationCode {
    ApplicationCode() noexcept { ++FailingMemory::exempt; }
    ~ApplicationCode() { --FailingMemory::exempt; }
    ApplicationCode(const ApplicationCode&) = delete;
};

// A call into the library from application code.
struct LibraryCall {
    LibraryCall() noexcept : outside_(FailingMemory::exempt) { FailingMemory::exempt = 0; }
    ~LibraryCall() { FailingMemory::exempt = outside_; }
    LibraryCall(const LibraryCall&) = delete;

private:
    const int outside_;
};

}  // namespace kwik::test

#define KWIK_EXPORTED __attribute__((visibility("default"), used))
#define KWIK_FAILS() (__atomic_load_n(&kwik::test::FailingMemory::armed, __ATOMIC_ACQUIRE) && kwik::test::FailingMemory::should_fail(__builtin_return_address(0)))
extern "C" {
KWIK_EXPORTED KWIK_UNSANITIZED void* malloc(std::size_t size) noexcept { return KWIK_FAILS() ? nullptr : KWIK_REAL(malloc)(size); }
KWIK_EXPORTED KWIK_UNSANITIZED void* calloc(std::size_t count, std::size_t size) noexcept { return KWIK_FAILS() ? nullptr : KWIK_REAL(calloc)(count, size); }
KWIK_EXPORTED KWIK_UNSANITIZED void* realloc(void* old, std::size_t size) noexcept { return KWIK_FAILS() ? nullptr : KWIK_REAL(realloc)(old, size); }
KWIK_EXPORTED KWIK_UNSANITIZED void free(void* memory) noexcept { KWIK_REAL(free)(memory); }
// The libraries below lose memory when an allocation fails; we and ngtcp2 must not.
KWIK_EXPORTED const char* __lsan_default_suppressions() { return "leak:libgnutls.\nleak:libtasn1.\nleak:libgmp.\nleak:libhogweed.\nleak:libp11-kit.\n"; }
// It allocates, and sanitizers call it in each new thread and end the process when it fails.
KWIK_EXPORTED KWIK_UNSANITIZED int pthread_getattr_np(pthread_t thread, pthread_attr_t* attributes) noexcept {
    const auto real = reinterpret_cast<int (*)(pthread_t, pthread_attr_t*)>(dlsym(RTLD_NEXT, "pthread_getattr_np"));
    ++kwik::test::FailingMemory::exempt;
    const int result = real(thread, attributes);
    --kwik::test::FailingMemory::exempt;
    return result;
}
}

// Sanitizers have an operator new of their own that does not pass through malloc.
KWIK_EXPORTED void* operator new(std::size_t size) {
    if (void* made = std::malloc(size)) return made;
    throw std::bad_alloc{};
}
KWIK_EXPORTED void* operator new[](std::size_t size) { return operator new(size); }
KWIK_EXPORTED void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
KWIK_EXPORTED void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }
KWIK_EXPORTED void operator delete(void* memory) noexcept { std::free(memory); }
KWIK_EXPORTED void operator delete[](void* memory) noexcept { std::free(memory); }
KWIK_EXPORTED void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
KWIK_EXPORTED void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
