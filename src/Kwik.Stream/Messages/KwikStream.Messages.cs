namespace Kwik.Streams;

public sealed partial class KwikStream
{
    /// <summary>The session's clock, for the channel over this stream.</summary>
    internal TimeProvider Time => _owner.Time;
}
