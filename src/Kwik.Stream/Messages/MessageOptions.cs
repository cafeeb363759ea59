using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// What a <see cref="MessageChannel"/> sends and takes. The first three are limits of the receiver that its sender keeps to
/// as well: give both sides the same values.
/// </summary>
/// <remarks>
/// Worst case of memory of a channel that receives: <see cref="MaxIncompleteBytes"/>, and beside it one
/// <see cref="MaxMessageSize"/> and 256 KiB while a message is decompressed. The stream's own window comes on top.
/// </remarks>
public sealed record MessageOptions
{
    /// <summary>
    /// Largest message, bytes, before compression: 1 to 256 MiB, default 4 MiB. A larger one is not sent; one that comes ends
    /// the stream with <see cref="KwikError.LimitExceeded"/> before anything is allocated for it.
    /// </summary>
    public int MaxMessageSize { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// Bytes of all messages that have begun to arrive and are not whole, counted as they were announced: three times
    /// <see cref="MaxMessageSize"/> to 1 GiB, default 16 MiB. More end the stream with <see cref="KwikError.LimitExceeded"/>.
    /// A <see cref="MessageChannel"/> sends at most three at a time, one of each priority.
    /// </summary>
    public int MaxIncompleteBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Messages of several chunks that have begun to arrive and are not whole: 3 to 1,024, default 16. More end the stream
    /// with <see cref="KwikError.LimitExceeded"/>.
    /// </summary>
    public int MaxIncompleteMessages { get; init; } = 16;

    /// <summary>
    /// Whether messages are compressed that become smaller by it; default true. What comes compressed is taken either way.
    /// False where secrets stand beside text that a stranger chooses: the size would tell about them.
    /// </summary>
    public bool Compress { get; init; } = true;

    /// <summary>Messages below this many bytes are sent as they are: 64 to 1,048,576, default 1,024.</summary>
    public int CompressionThreshold { get; init; } = 1024;

    /// <summary>
    /// How fast this channel may send; default: no limit. That of the session, which all of its channels share, is an option
    /// of the session, and holds beside this one.
    /// </summary>
    public MessageRate Rate { get; init; } = new();

    /// <summary>Checks the ranges above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ThrowIfOutside(MaxMessageSize, 1, 256 * 1024 * 1024, nameof(MaxMessageSize));
        ThrowIfOutside(MaxIncompleteBytes, 3L * MaxMessageSize, 1024 * 1024 * 1024, nameof(MaxIncompleteBytes));
        ThrowIfOutside(MaxIncompleteMessages, 3, 1024, nameof(MaxIncompleteMessages));
        ThrowIfOutside(CompressionThreshold, 64, 1024 * 1024, nameof(CompressionThreshold));
        Rate.Validate();
    }

    private static void ThrowIfOutside(long value, long lowest, long highest, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, lowest, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, highest, name);
    }
}
