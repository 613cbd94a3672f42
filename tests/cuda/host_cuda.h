// SPDX-License-Identifier: MIT
//
// The CUDA vocabulary for g++: included before a kernel file, so that its source runs on the CPU as it stands.
//
// One fibre per thread of a block, blocks one after another (host_runtime.cpp). A fibre runs until it ends or waits, at
// a barrier or for the other lanes of its warp. Shared arrays are plain pointers into memory that is filled with 0xff
// bytes for each block. In the checking build the compiler reports every access to memory (host_checks.cpp).
//
// What is here is what kernels may use: no dynamic shared memory, no __activemask, no texture, no printf.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#define HOST_CUDA 1

namespace host {

struct Index {
    unsigned x, y, z;
};
struct Site {
    const char* file;
    int line;
};
struct Lanes {
    unsigned mask;        // the lanes that took part
    uint64_t values[32];  // what each of them brought
};

enum Vote { NONE, OR, AND, COUNT };

int barrier(Site site, Vote vote, int predicate);                    // waits for the block
const Lanes& meet(Site site, unsigned mask, uint64_t value);         // waits for the lanes of `mask`
void sync_warp(Site site, unsigned mask);                            // as `meet`, and orders memory between these lanes
void* shared_array(const void* key, const char* name, size_t item_bytes, size_t count);
void note_atomic(const void* address, size_t bytes, const void* code);  // a check; nothing in the plain build
[[noreturn]] void refuse(Site site, const char* reason);             // ends the launch with this error
int lane();

template <class T>
uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8, "a lane passes at most 8 bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <class T>
T from_lane(Site site, const Lanes& lanes, int source) {
    if (!(lanes.mask >> source & 1)) refuse(site, "a shuffle reads a lane that does not take part");
    T value;
    std::memcpy(&value, &lanes.values[source], sizeof(T));
    return value;
}

template <class T>
T shuffle(Site site, unsigned mask, T value, int source, int width = 32) {
    const Lanes& lanes = meet(site, mask, to_bits(value));
    return from_lane<T>(site, lanes, (lane() & ~(width - 1)) | (source & (width - 1)));
}

template <class T>
T shuffle_xor(Site site, unsigned mask, T value, int bits, int width = 32) {
    const Lanes& lanes = meet(site, mask, to_bits(value));
    const int source = lane() ^ bits;
    return source >= (lane() & ~(width - 1)) + width ? value : from_lane<T>(site, lanes, source);
}

template <class T>
T shuffle_down(Site site, unsigned mask, T value, unsigned by, int width = 32) {
    const Lanes& lanes = meet(site, mask, to_bits(value));
    const int place = (lane() & (width - 1)) + static_cast<int>(by);
    return place >= width ? value : from_lane<T>(site, lanes, lane() + static_cast<int>(by));
}

template <class T>
T shuffle_up(Site site, unsigned mask, T value, unsigned by, int width = 32) {
    const Lanes& lanes = meet(site, mask, to_bits(value));
    const int place = (lane() & (width - 1)) - static_cast<int>(by);
    return place < 0 ? value : from_lane<T>(site, lanes, lane() - static_cast<int>(by));
}

inline unsigned ballot(Site site, unsigned mask, int predicate) {
    const Lanes& lanes = meet(site, mask, predicate != 0);
    unsigned found = 0;
    for (int i = 0; i < 32; ++i) found |= (lanes.mask >> i & 1 && lanes.values[i]) ? 1u << i : 0u;
    return found;
}

inline bool all(Site site, unsigned mask, int predicate) {
    const Lanes& lanes = meet(site, mask, predicate != 0);
    for (int i = 0; i < 32; ++i)
        if (lanes.mask >> i & 1 && !lanes.values[i]) return false;
    return true;
}

// An atomic is one step here, since fibres are not interrupted; the checks are told that it is allowed to meet others.
template <class T, class Change>
__attribute__((noinline, no_sanitize("thread", "undefined"))) T atomic(T* address, Change change) {
    note_atomic(address, sizeof(T), __builtin_return_address(0));
    const T before = *address;
    *address = change(before);
    return before;
}

// --- calling a kernel with the arguments cuLaunchKernel would get: a pointer to each of them ------------------------

template <class T>
constexpr char letter() {
    using V = std::remove_cv_t<T>;
    if (std::is_same_v<V, float>) return 'f';
    if (std::is_same_v<V, double>) return 'd';
    if (std::is_same_v<V, bool>) return '?';
    if (std::is_integral_v<V>) {
        const char* names = std::is_signed_v<V> ? "bhiq" : "BHIQ";
        return names[sizeof(V) == 1 ? 0 : sizeof(V) == 2 ? 1 : sizeof(V) == 4 ? 2 : 3];
    }
    return '.';  // a vector such as float4: its bytes are all that is known
}

template <class T>
void append_kind(char*& out) {
    if (std::is_pointer_v<T>) *out++ = std::is_const_v<std::remove_pointer_t<T>> ? '<' : '*';
    *out++ = letter<std::remove_pointer_t<T>>();
}

// Write one letter per argument as Python's struct module has them, after `<` (read only) or `*` for a pointer.
template <class... A>
void describe(void (*)(A...), char* out) {
    (append_kind<A>(out), ...);
    *out = 0;
}

template <class T>
__attribute__((noinline, no_sanitize("thread", "undefined"))) T take(void** args, size_t i) {
    return *static_cast<std::remove_cv_t<T>*>(args[i]);
}

template <class... A, size_t... I>
void call_with(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(take<A>(args, I)...);
}

template <class... A>
void call(void (*kernel)(A...), void** args) {
    call_with(kernel, args, std::index_sequence_for<A...>{});
}

}  // namespace host

extern host::Index threadIdx, blockIdx, blockDim, gridDim;

#define HOST_INLINE __attribute__((always_inline)) inline  // so that errors name the kernel's line
#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define SHARED(type, name, count)      \
    static char name##_key;            \
    type* const name = static_cast<type*>(host::shared_array(&name##_key, #name, sizeof(type), count))

#define HOST_SITE host::Site{__FILE__, __LINE__}
#define __syncthreads() ((void)host::barrier(HOST_SITE, host::NONE, 0))
#define __syncthreads_or(predicate) host::barrier(HOST_SITE, host::OR, predicate)
#define __syncthreads_and(predicate) host::barrier(HOST_SITE, host::AND, predicate)
#define __syncthreads_count(predicate) host::barrier(HOST_SITE, host::COUNT, predicate)
#define HOST_FIRST(first, ...) first
#define __syncwarp(...) host::sync_warp(HOST_SITE, HOST_FIRST(__VA_ARGS__ __VA_OPT__(,) 0xffffffffu, ))
#define __shfl_sync(...) host::shuffle(HOST_SITE, __VA_ARGS__)
#define __shfl_xor_sync(...) host::shuffle_xor(HOST_SITE, __VA_ARGS__)
#define __shfl_down_sync(...) host::shuffle_down(HOST_SITE, __VA_ARGS__)
#define __shfl_up_sync(...) host::shuffle_up(HOST_SITE, __VA_ARGS__)
#define __ballot_sync(mask, predicate) host::ballot(HOST_SITE, mask, predicate)
#define __any_sync(mask, predicate) (host::ballot(HOST_SITE, mask, predicate) != 0)
#define __all_sync(mask, predicate) host::all(HOST_SITE, mask, predicate)

template <class T>
HOST_INLINE T atomicAdd(T* address, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T before) { return static_cast<T>(before + value); });
}
template <class T>
HOST_INLINE T atomicMax(T* address, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T before) { return before < value ? value : before; });
}
template <class T>
HOST_INLINE T atomicMin(T* address, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T before) { return value < before ? value : before; });
}
template <class T>
HOST_INLINE T atomicOr(T* address, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T before) { return before | value; });
}
template <class T>
HOST_INLINE T atomicExch(T* address, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T) { return value; });
}
template <class T>
HOST_INLINE T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    return host::atomic(address, [=](T before) { return before == expected ? value : before; });
}

template <class T>
T __ldg(const T* address) {
    return *address;
}

using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;

#define HOST_SMALLER_LARGER(type)                                   \
    inline type min(type a, type b) { return b < a ? b : a; }       \
    inline type max(type a, type b) { return a < b ? b : a; }
HOST_SMALLER_LARGER(int)
HOST_SMALLER_LARGER(unsigned)
HOST_SMALLER_LARGER(long)
HOST_SMALLER_LARGER(unsigned long)
HOST_SMALLER_LARGER(long long)
HOST_SMALLER_LARGER(unsigned long long)
#undef HOST_SMALLER_LARGER
inline float min(float a, float b) { return std::fmin(a, b); }  // as on a GPU: a number wins over NaN
inline float max(float a, float b) { return std::fmax(a, b); }

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __popcll(unsigned long long bits) { return __builtin_popcountll(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __ffsll(long long bits) { return __builtin_ffsll(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(static_cast<unsigned>(bits)) : 32; }
inline int __clzll(long long bits) { return bits ? __builtin_clzll(static_cast<unsigned long long>(bits)) : 64; }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

template <class To, class From>
To host_bits(From value) {
    To out;
    static_assert(sizeof(To) == sizeof(From));
    std::memcpy(&out, &value, sizeof(To));
    return out;
}
inline int __float_as_int(float x) { return host_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return host_bits<unsigned>(x); }
inline float __int_as_float(int x) { return host_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return host_bits<float>(x); }

#define HOST_VECTOR(type, scalar)                                                                              \
    struct alignas(2 * sizeof(scalar)) type##2 { scalar x, y; };                                               \
    struct type##3 { scalar x, y, z; };                                                                        \
    struct alignas(4 * sizeof(scalar) < 16 ? 4 * sizeof(scalar) : 16) type##4 { scalar x, y, z, w; };          \
    inline type##2 make_##type##2(scalar x, scalar y) { return {x, y}; }                                       \
    inline type##3 make_##type##3(scalar x, scalar y, scalar z) { return {x, y, z}; }                          \
    inline type##4 make_##type##4(scalar x, scalar y, scalar z, scalar w) { return {x, y, z, w}; }
HOST_VECTOR(float, float)
HOST_VECTOR(int, int)
HOST_VECTOR(uint, unsigned)
HOST_VECTOR(uchar, unsigned char)
#undef HOST_VECTOR
