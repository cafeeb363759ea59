namespace Kwik.Samples.SendFile;

/// <summary>What the receiver says on the error substream. The codes are this application's own.</summary>
internal enum Notice : ulong
{
    /// <summary>A notification: so much is stored.</summary>
    Progress = 1,

    /// <summary>A fault, as are those below: the name is not one of a file in one folder.</summary>
    BadName = 2,

    /// <summary>There is a file of that name already.</summary>
    Exists = 3,

    /// <summary>The file is larger than the receiver takes.</summary>
    TooLarge = 4,

    /// <summary>The receiver's disk is full, or did not take it for another reason.</summary>
    NotStored = 5,
}

/// <summary>The receiver does not take the file; the sender may know why.</summary>
internal sealed class RefusedException(Notice notice, string message) : Exception(message)
{
    public Notice Notice { get; } = notice;
}
