namespace Kwik.Streams;

public sealed partial class KwikStream
{
    /// <summary>The session's clock, for the channel over this stream.</summary>
    internal TimeProvider Time => _owner.Time;

    /// <summary>The rate that all channels of the session share.</summary>
    internal MessagePace? SessionPace => _owner.MessagePace;
}
