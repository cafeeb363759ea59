// Reference counting and the actor: the two ideas that every long-lived structure of the library shares.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace kwik {

// Counts references, from any thread. Born with one reference, which belongs to the creator. The last release destroys the object on the releasing thread.
class Object {
public:
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

protected:
    Object() = default;
    virtual ~Object() = default;

private:
    friend class Worker;
    std::atomic<std::uint32_t> references_{1};
    Object* next_retired_ = nullptr;  // See Worker::retire.
};

// Owns one reference.
template <class T>
class Ref {
public:
    Ref() = default;
    Ref(const Ref& other) noexcept : object_(other.object_) { if (object_) object_->retain(); }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    template <class U>
    Ref(Ref<U>&& other) noexcept : object_(other.leak()) {}
    ~Ref() { if (object_) object_->release(); }
    Ref& operator=(Ref other) noexcept { std::swap(object_, other.object_); return *this; }

    // Takes over a reference that the caller owns.
    static Ref adopt(T* object) noexcept { Ref r; r.object_ = object; return r; }
    // Adds a reference.
    static Ref share(T* object) noexcept { if (object) object->retain(); return adopt(object); }
    // Gives the reference to the caller.
    T* leak() noexcept { return std::exchange(object_, nullptr); }

    T* get() const noexcept { return object_; }
    T* operator->() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }

private:
    T* object_ = nullptr;
};

class Waiter;

// A request from an API thread to the worker that owns the target.
struct Command {
    std::uint32_t op = 0;     // Meaning is the target's own.
    std::uint32_t flags = 0;
    std::uint64_t value = 0;
    Ref<Object> subject = {}; // Another object that the request is about, if any.
    Waiter* waiter = nullptr; // Signalled after execution; the caller blocks on it.
};

// Belongs to one worker, which alone executes its commands, timers and deferred work; hence its worker state needs no lock.
class Actor : public Object {
public:
    virtual void execute(Command& command) noexcept = 0;
};

// The place of a command that must not be lost when there is no memory for it. In use from Worker::post until its execution begins.
struct ReservedCommand {
    ReservedCommand* next = nullptr;
    Ref<Actor> target = {};
    Command command = {};
};

// What an application holds as HQUIC. The kind is checked at the API; context and callback are set inside the callback that announced the handle or before it was started, as .NET does.
struct Handle {
    enum class Kind : std::uint32_t { registration = 0x4b571001, configuration, listener, connection, stream };
    explicit Handle(Kind k) noexcept : kind(k) {}
    const Kind kind;
    void* context = nullptr;
};

}  // namespace kwik
