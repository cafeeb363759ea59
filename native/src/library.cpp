#include "library.h"

#include <algorithm>
#include <new>
#include <thread>

namespace kwik {

namespace {
// Plain pointers: nothing is torn down by static destructors while worker threads still run.
std::mutex library_mutex;
unsigned open_count = 0;
Library* instance = nullptr;
}  // namespace

unsigned Library::wanted_workers() noexcept { return std::clamp(std::thread::hardware_concurrency(), 2u, 16u); }

void Library::open() noexcept {
    std::lock_guard lock(library_mutex);
    ++open_count;
}

void Library::close() noexcept {
    Library* old = nullptr;
    {
        std::lock_guard lock(library_mutex);
        if (open_count == 0 || --open_count > 0) return;
        std::swap(old, instance);
    }
    delete old;
}

Library* Library::running() noexcept {
    std::lock_guard lock(library_mutex);
    if (instance != nullptr || open_count == 0) return instance;
    std::unique_ptr<Library> library(new (std::nothrow) Library);
    if (!library) return nullptr;
    try {
        const unsigned count = wanted_workers();
        for (unsigned i = 0; i < count; ++i) {
            std::unique_ptr<Worker> worker = Worker::start(i, count);
            if (!worker) return nullptr;
            library->workers_.push_back(std::move(worker));
        }
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    return instance = library.release();
}

Library::~Library() {
    for (const auto& worker : workers_) worker->stop();
    // Workers hand objects to each other (a connection gives its socket back to the worker that reads it), hence twice.
    for (int round = 0; round < 2; ++round) {
        for (const auto& worker : workers_) worker->drain();
    }
}

Worker& Library::next_worker() noexcept { return *workers_[turn_.fetch_add(1, std::memory_order_relaxed) % workers_.size()]; }

}  // namespace kwik
