// The process-wide state: workers and bindings. Made by the first RegistrationOpen, because MsQuicOpenVersion alone (a probe) should not start threads.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "object.h"
#include "worker.h"

namespace kwik {

class Binding;

class Library {
public:
    // MsQuicOpenVersion and MsQuicClose are counted; the workers stop with the last close. All handles must be closed by then, as for MsQuic.
    static void open() noexcept;
    static void close() noexcept;
    // The running library; started on demand. nullptr: out of memory, threads or descriptors, or not open.
    static Library* running() noexcept;

    Worker& next_worker() noexcept;  // In turn.
    Worker& worker(unsigned index) noexcept { return *workers_[index]; }
    unsigned worker_count() const noexcept { return static_cast<unsigned>(workers_.size()); }

    ~Library();

    // All bindings, by their local address; see Binding::acquire.
    std::mutex bindings_mutex;
    std::vector<Binding*> bindings;

private:
    Library() = default;
    static unsigned wanted_workers() noexcept;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<unsigned> turn_{0};
};

}  // namespace kwik
