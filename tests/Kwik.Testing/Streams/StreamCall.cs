namespace Kwik.Testing;

/// <summary>The ways that <see cref="Stream"/> has to read and to write.</summary>
public enum StreamCall
{
    /// <summary><c>ReadByte</c> and <c>WriteByte</c>.</summary>
    Byte,

    /// <summary><c>Read</c> and <c>Write</c> of a span.</summary>
    Span,

    /// <summary><c>Read</c> and <c>Write</c> of a part of an array.</summary>
    Array,

    /// <summary><c>ReadAsync</c> and <c>WriteAsync</c> of a part of an array.</summary>
    ArrayAsync,

    /// <summary><c>ReadAsync</c> and <c>WriteAsync</c> of memory.</summary>
    MemoryAsync,

    /// <summary><c>BeginRead</c> and <c>BeginWrite</c>, and at once the call that ends them, which blocks.</summary>
    Apm,

    /// <summary><c>BeginRead</c> and <c>BeginWrite</c>, ended when their callback says so.</summary>
    FromAsync,
}
